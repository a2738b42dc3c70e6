#include <pathkernel/data/label_flips.h>

#include <pathkernel/core/error.h>
#include <pathkernel/core/random.h>
#include <pathkernel/data/dataset.h>

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numeric>
#include <utility>

namespace pathkernel {

LabelFlips plant_flips(const Dataset& data, double share, uint64_t seed) {
  const int64_t N = data.size(), classes = static_cast<int64_t>(data.class_names.size());
  if (classes < 2) throw InvalidInput(fmt::format("--flip {:g}: {} has no two classes to exchange; leave --flip out", share, data.name));
  const auto count = static_cast<int64_t>(std::llround(share * static_cast<double>(N)));
  if (!(share > 0 && share <= 1) || count < 1)
    throw InvalidInput(fmt::format("--flip {:g}: expected a share of the {} examples between {:.2g} and 1", share, N, 1.0 / static_cast<double>(N)));
  LabelFlips flips{share, seed, std::vector<int64_t>(static_cast<size_t>(N)), {}, {}};
  std::iota(flips.examples.begin(), flips.examples.end(), 0);
  RandomStream random(stream_seed(seed, Stream::label_flips, 0));
  for (int64_t i = 0; i < count; ++i) std::swap(flips.examples[static_cast<size_t>(i)], flips.examples[static_cast<size_t>(i) + random.below(static_cast<uint64_t>(N - i))]);
  flips.examples.resize(static_cast<size_t>(count));
  std::sort(flips.examples.begin(), flips.examples.end());
  for (const int64_t example : flips.examples) {
    const auto original = data.targets[example].item<int64_t>();
    const auto other = static_cast<int64_t>(random.below(static_cast<uint64_t>(classes) - 1));
    flips.originals.push_back(original);
    flips.labels.push_back(other < original ? other : other + 1);
  }
  return flips;
}

void apply(const LabelFlips& flips, Dataset& data) {
  if (flips.empty()) return;
  Tensor targets = data.targets.clone();  // the reader's own stay as they are
  for (size_t k = 0; k < flips.examples.size(); ++k) {
    const int64_t example = flips.examples[k];
    if (example < 0 || example >= data.size() || !data.is_classification() || targets[example].item<int64_t>() != flips.originals[k])
      throw InvalidInput(fmt::format("{}: example {} was of class {} when its label was flipped, and is not now; these are other data", data.name, example, flips.originals[k]));
    targets[example] = flips.labels[k];
  }
  data.targets = targets;
}

}  // namespace pathkernel
