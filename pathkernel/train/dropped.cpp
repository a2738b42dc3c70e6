#include <pathkernel/train/dropped.h>

#include <ATen/ops/empty.h>

#include <algorithm>

namespace pathkernel {

bool Dropped::contains(int64_t example) const { return std::binary_search(examples_.begin(), examples_.end(), example); }

int64_t Dropped::count_kept(const Tensor& indices) const {
  const Tensor here = indices.cpu().contiguous();
  const int64_t* index = here.const_data_ptr<int64_t>();
  return std::count_if(index, index + here.numel(), [&](int64_t i) { return !contains(i); });
}

Tensor Dropped::kept(const Tensor& indices, const at::TensorOptions& options) const {
  if (examples_.empty() || count_kept(indices) == indices.numel()) return {};
  const Tensor here = indices.cpu().contiguous();
  Tensor kept = at::empty({here.numel()}, at::TensorOptions(at::kDouble));
  for (int64_t i = 0; i < here.numel(); ++i) kept.mutable_data_ptr<double>()[i] = contains(here.const_data_ptr<int64_t>()[i]) ? 0 : 1;
  return kept.to(options);
}

double Dropped::factor(const std::vector<Tensor>& passes) const {
  if (!renormalise_ || examples_.empty()) return 1;
  const auto count = static_cast<double>(passes.size());
  double left = 0;  // Σ b_i of those kept; over all of them it is 1
  bool all = true;
  for (const Tensor& indices : passes) {
    const int64_t kept = count_kept(indices);
    all = all && kept == indices.numel();
    left += static_cast<double>(kept) / (count * static_cast<double>(indices.numel()));
  }
  return all || left == 0 ? 1 : 1 / left;
}

}  // namespace pathkernel
