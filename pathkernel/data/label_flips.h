#pragma once

#include <pathkernel/core/tensors.h>

#include <cstdint>
#include <vector>

namespace pathkernel {

struct Dataset;

/// Label errors planted in the training part (train --flip): which examples, their true labels, and the wrong ones they got.
struct LabelFlips {
  double share = 0;                  ///< of the examples, as asked for
  uint64_t seed = 0;
  std::vector<int64_t> examples;     ///< ascending
  std::vector<int64_t> originals, labels;

  bool empty() const { return examples.empty(); }
};

/// round(share·N) examples, drawn without repetition, each with a label drawn uniformly from the other classes: the same for the same
/// seed on every machine. The data are not changed yet.
/// @throws InvalidInput where there are no two classes, or the share is not in (0, 1] or comes to no example.
LabelFlips plant_flips(const Dataset& data, double share, uint64_t seed);

/// Puts the wrong labels in. @throws InvalidInput where the data's labels are not the originals.
void apply(const LabelFlips& flips, Dataset& data);

}  // namespace pathkernel
