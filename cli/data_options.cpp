#include "data_options.h"
#include "checks.h"

namespace pathkernel::cli {

void add_data_options(CLI::App& command, DataSource& source) {
  command.add_option("--data", source.location, "mnist, fashion-mnist, digits, a folder of idx or .npy files, or a file.csv")
      ->capture_default_str();
  command.add_option("--label", source.label_column, "The column to predict (CSV)");
  command.add_option("--limit", source.limit, "Keep only the first so many training examples (0: all)")
      ->capture_default_str()
      ->check(not_negative);
}

}  // namespace pathkernel::cli
