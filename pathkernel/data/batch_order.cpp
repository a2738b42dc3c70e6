#include <pathkernel/data/batch_order.h>

#include <pathkernel/core/error.h>
#include <pathkernel/core/random.h>
#include <pathkernel/data/npy.h>

#include <ATen/ops/arange.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <utility>

namespace pathkernel {
namespace {

/// 0 … examples−1 in an order of their own (Fisher and Yates); not torch's randperm, whose numbers may change with its version.
Tensor permutation(int64_t examples, uint64_t seed) {
  Tensor order = at::arange(examples, at::TensorOptions(at::kLong));
  int64_t* item = order.mutable_data_ptr<int64_t>();
  RandomStream random(seed);
  for (int64_t i = examples - 1; i > 0; --i) std::swap(item[i], item[random.below(static_cast<uint64_t>(i) + 1)]);
  return order;
}

}  // namespace

std::vector<Tensor> shuffled_batches(int64_t examples, int64_t batch, double epochs, uint64_t seed) {
  if (examples < 1 || batch < 1 || !(epochs > 0) || !std::isfinite(epochs))
    throw InvalidInput(fmt::format("shuffled_batches: {} examples, batches of {}, {} epochs; each must be positive", examples, batch,
                                   epochs));
  const int64_t per_epoch = (examples - 1) / batch + 1;
  const double asked = std::round(epochs * static_cast<double>(per_epoch));
  if (asked > 1e9) throw InvalidInput(fmt::format("{} epochs are {} steps: more than a thousand million", epochs, asked));
  const int64_t steps = std::max<int64_t>(1, static_cast<int64_t>(asked));

  std::vector<Tensor> batches;
  batches.reserve(static_cast<size_t>(steps));
  for (uint64_t epoch = 0; static_cast<int64_t>(batches.size()) < steps; ++epoch) {
    const Tensor order = permutation(examples, stream_seed(seed, Stream::batch_order, epoch));
    for (int64_t i = 0; i < examples && static_cast<int64_t>(batches.size()) < steps; i += std::min(batch, examples - i))
      batches.push_back(order.narrow(0, i, std::min(batch, examples - i)));
  }
  return batches;
}

std::vector<Tensor> batches_from_file(const std::string& path, int64_t examples) {
  const Tensor table = read_npy(path);
  if (table.scalar_type() != at::kLong || table.dim() != 2 || table.numel() == 0)
    throw InvalidInput(fmt::format("{}: found {}, expected int64 [steps, batch], one row of example numbers a step", path,
                                   describe(table)));
  std::vector<Tensor> batches;
  for (int64_t step = 0; step < table.size(0); ++step) {
    const Tensor row = table.select(0, step);
    const int64_t* index = row.const_data_ptr<int64_t>();
    const int64_t count = std::find(index, index + row.numel(), -1) - index;
    if (count == 0) throw InvalidInput(fmt::format("{}, row {}: no examples", path, step));
    for (int64_t i = 0; i < row.numel(); ++i) {
      const bool fits = i < count ? index[i] >= 0 && index[i] < examples : index[i] == -1;
      if (!fits)
        throw InvalidInput(fmt::format("{}, row {}: the example number {} is not in 0..{} (-1 may only fill the end of a row)", path,
                                       step, index[i], examples - 1));
    }
    batches.push_back(row.narrow(0, 0, count));
  }
  return batches;
}

}  // namespace pathkernel
