#include <pathkernel/kernel/layers/window.h>

#include <pathkernel/core/error.h>

#include <ATen/ops/cat.h>
#include <ATen/ops/constant_pad_nd.h>
#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <numeric>

namespace pathkernel::stax {
namespace {

/// Σ_j of the slices that begin at j, along one axis, or along two at once.
Tensor sum_of_slices(const Tensor& t, int64_t window, int64_t stride, int64_t out, int64_t first, int64_t second) {
  Tensor sum;
  for (int64_t j = 0; j < window; ++j) {
    Tensor slice = t.slice(first, j, j + (out - 1) * stride + 1, stride);
    if (second >= 0) slice = slice.slice(second, j, j + (out - 1) * stride + 1, stride);
    sum = sum.defined() ? sum.add_(slice) : slice.clone();
  }
  return sum;
}

}  // namespace

double Window::count() const { return static_cast<double>(std::accumulate(sizes.begin(), sizes.end(), int64_t{1}, std::multiplies<>())); }

std::pair<int64_t, int64_t> Window::margins(int64_t size, size_t d) const {
  if (padding == Padding::valid) return {0, 0};
  const int64_t out = (size + strides[d] - 1) / strides[d];
  const int64_t total = std::max<int64_t>(0, (out - 1) * strides[d] + sizes[d] - size);
  return {total / 2, total - total / 2};
}

std::vector<int64_t> Window::output_space(const std::vector<int64_t>& space, const std::string& owner) const {
  if (space.size() != sizes.size())
    throw InvalidInput(fmt::format("layer {}: the window has {} axes, but its input has {} (one example: channels{}{}); write one size for signals "
                                   "[n, C, S], two for images [n, C, H, W]",
                                   owner, sizes.size(), space.size(), space.empty() ? "" : " x ", fmt::join(space, " x ")));
  std::vector<int64_t> out;
  for (size_t d = 0; d < space.size(); ++d) {
    const auto [before, after] = margins(space[d], d);
    if (space[d] + before + after < sizes[d] || (padding == Padding::circular && std::max(before, after) > space[d]))
      throw InvalidInput(fmt::format("layer {}: the window {} is larger than its input {}; use a smaller one, or padding same", owner,
                                     fmt::join(sizes, "x"), fmt::join(space, "x")));
    out.push_back((space[d] + before + after - sizes[d]) / strides[d] + 1);
  }
  return out;
}

std::string Window::specification() const {
  std::string text = fmt::format("{}", fmt::join(sizes, "x"));
  if (std::any_of(strides.begin(), strides.end(), [](int64_t s) { return s != 1; })) text += fmt::format(",stride={}", fmt::join(strides, "x"));
  return text + (padding == Padding::valid ? "" : padding == Padding::same ? ",same" : ",circular");
}

Tensor Window::padded(const Tensor& t, int64_t dim, size_t d) const {
  const auto [before, after] = margins(t.size(dim), d);
  if (before == 0 && after == 0) return t;
  if (padding == Padding::circular) return at::cat({t.narrow(dim, t.size(dim) - before, before), t, t.narrow(dim, 0, after)}, dim);
  std::vector<int64_t> around(static_cast<size_t>(2 * (t.dim() - dim)), 0);  // from the last axis backwards
  around[around.size() - 2] = before;
  around[around.size() - 1] = after;
  return at::constant_pad_nd(t, around);
}

Tensor window_sum(const Tensor& t, const Window& window, size_t lead, bool both, bool together) {
  const size_t k = window.sizes.size();
  Tensor result = t;
  for (size_t d = 0; d < k; ++d) {
    const auto first = static_cast<int64_t>(lead + d), second = both ? static_cast<int64_t>(lead + k + d) : int64_t{-1};
    result = window.padded(result, first, d);
    if (both) result = window.padded(result, second, d);
    const int64_t out = (result.size(first) - window.sizes[d]) / window.strides[d] + 1;
    if (together || !both) {
      result = sum_of_slices(result, window.sizes[d], window.strides[d], out, first, second);
    } else {
      result = sum_of_slices(result, window.sizes[d], window.strides[d], out, first, -1);
      result = sum_of_slices(result, window.sizes[d], window.strides[d], out, second, -1);
    }
  }
  return result;
}

}  // namespace pathkernel::stax
