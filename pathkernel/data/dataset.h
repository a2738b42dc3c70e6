#pragma once

#include <pathkernel/core/tensors.h>
#include <pathkernel/data/example_source.h>
#include <pathkernel/data/label_flips.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

namespace pathkernel {

/// What an example is: one row of `inputs` with one row of `targets`.
struct Dataset {
  std::string name;                      ///< "mnist train", for messages and pages
  Tensor inputs;                         ///< [N, ...] floating point (images [N, channels, height, width] in 0..1)
  Tensor targets;                        ///< [N] int64 class labels, or [N] / [N, K] floating point for regression
  std::vector<std::string> class_names;  ///< one per class; empty for regression
  std::vector<std::string> input_names;  ///< one per column for tables; empty for images
  Tensor raw;                            ///< [N, columns] of a table as it was before `inputs` were standardised; undefined: they were not
  std::vector<std::string> texts;        ///< N, where the inputs are made of texts; else empty

  std::shared_ptr<const ExampleSource> source;  ///< where the examples are made when they are drawn; then `inputs` is undefined, and
                                                ///< `targets` are there where they are known without drawing, for the ledger's views

  int64_t size() const { return source ? source->size() : inputs.defined() ? inputs.size(0) : 0; }
  bool is_classification() const { return !class_names.empty(); }
};

/// Another label for a training example (data/relabel.h).
struct Relabelling {
  int64_t example = 0;
  std::string label;  ///< a class name, or the number to be predicted

  bool operator==(const Relabelling&) const = default;
};

/// Where data comes from: enough to load the same examples again (kept in a recording's manifest).
struct DataSource {
  std::string location = "mnist";  ///< mnist, fashion-mnist, digits, breast-cancer, wine, diabetes, spam | folder of idx files | FOLDER of .npy pairs | file.csv
  std::string label_column = {};   ///< CSV only: the column to predict
  std::string targets = "auto";    ///< CSV only: read the column to predict as classes | numbers | auto (data/table.h)
  int64_t limit = 0;               ///< keep only the first so many training examples (0: all)
  std::string text_column = {};    ///< CSV only: the column with the text to predict from (data/text.h)
  int64_t buckets = 1024;          ///< of the text's hashed words: numbers that the network sees
  bool standardise = false;        ///< CSV only: the network sees (x − mean)/deviation, both of the training part's column
  std::vector<Relabelling> relabelled = {};  ///< labels that take the place of the source's own, in this order
  LabelFlips flips = {};           ///< label errors planted in the training part; load() puts them in
};

struct TrainTest {
  Dataset train;
  Dataset test;
};

/// Loads both parts. @throws InvalidInput naming the missing file and how to get it, the first bad value, or the
/// dimension that does not fit. NaN and infinite inputs are refused here, with their row.
TrainTest load(const DataSource& source);

/// Whether these are rows of a table (numbers or texts), and no images or plain tensors.
bool is_table(const DataSource& source);

/// XXH3 over inputs, targets and class names, or the source's own: two datasets with the same fingerprint hold the same examples.
uint64_t fingerprint(const Dataset& dataset);

/// Some examples of a data set.
struct Batch {
  Tensors inputs;   ///< what the model's forward takes; one tensor for the datasets above
  Tensor targets;   ///< [n] or [n, K]
  Tensor indices;   ///< [n] int64: which examples these are
  int64_t size() const { return indices.size(0); }
};
/// Rows `indices` (int64 [n]) of inputs and targets, floating point ones converted to `dtype`.
/// @param random_seed  of a step, where the examples are made when they are drawn
Batch take(const Dataset& dataset, const Tensor& indices, at::ScalarType dtype, uint64_t random_seed = 0);

}  // namespace pathkernel
