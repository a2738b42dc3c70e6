#pragma once

#include <pathkernel/core/tensors.h>

#include <cstdint>
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

  int64_t size() const { return inputs.defined() ? inputs.size(0) : 0; }
  bool is_classification() const { return !class_names.empty(); }
};

/// Where data comes from: enough to load the same examples again (kept in a recording's manifest).
struct DataSource {
  std::string location = "mnist";  ///< mnist | fashion-mnist | digits | folder of idx files | FOLDER of .npy pairs | file.csv
  std::string label_column = {};   ///< CSV only: the column to predict
  std::string targets = "auto";    ///< CSV only: read the column to predict as classes | numbers | auto (data/table.h)
  int64_t limit = 0;               ///< keep only the first so many training examples (0: all)
};

struct TrainTest {
  Dataset train;
  Dataset test;
};

/// Loads both parts. @throws InvalidInput naming the missing file and how to get it, the first bad value, or the
/// dimension that does not fit. NaN and infinite inputs are refused here, with their row.
TrainTest load(const DataSource& source);

/// XXH3 over inputs, targets and class names: two datasets with the same fingerprint hold the same examples.
uint64_t fingerprint(const Dataset& dataset);

/// Rows `indices` (int64 [n]) of inputs and targets, inputs converted to `dtype` (floating targets too).
struct Batch {
  Tensors inputs;   ///< what the model's forward takes; one tensor for the datasets above
  Tensor targets;   ///< [n] or [n, K]
  Tensor indices;   ///< [n] int64: which examples these are
  int64_t size() const { return indices.size(0); }
};
Batch take(const Dataset& dataset, const Tensor& indices, at::ScalarType dtype);

}  // namespace pathkernel
