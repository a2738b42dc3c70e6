#include "data_options.h"
#include "checks.h"

namespace pathkernel::cli {

void add_data_options(CLI::App& command, DataSource& source) {
  command.add_option("--data", source.location, "mnist, fashion-mnist, digits, breast-cancer, wine, diabetes, spam, a folder of idx or .npy files, or a file.csv")
      ->capture_default_str();
  command.add_option("--label", source.label_column, "The column to predict (CSV)");
  CLI::Option* text = command.add_option("--text", source.text_column, "The column with the text to predict from (CSV): its words and pairs of words are hashed");
  command.add_option("--buckets", source.buckets, "Numbers that a text is hashed into: the network's inputs")->capture_default_str()->check(positive)->needs(text);
  command.add_flag("--standardise", source.standardise, "The network sees (x - mean) / deviation of every column (CSV)")->excludes(text);
  command.add_option("--limit", source.limit, "Keep only the first so many training examples (0: all)")
      ->capture_default_str()
      ->check(not_negative);
}

}  // namespace pathkernel::cli
