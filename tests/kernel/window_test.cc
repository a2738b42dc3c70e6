// Windows on one and two axes against the definition, index by index.

#include "comparisons.h"

#include <pathkernel/core/error.h>
#include <pathkernel/kernel/layers/window.h>

#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <scratch.h>

namespace pathkernel {
namespace {

using stax::Padding;
using stax::Window;

/// The input position that window place j of output o reads, or −1 for a zero of the padding.
int64_t source(const Window& w, size_t d, int64_t size, int64_t out, int64_t o, int64_t j) {
  const int64_t total = w.padding == Padding::valid ? 0 : std::max<int64_t>(0, (out - 1) * w.strides[d] + w.sizes[d] - size);
  const int64_t s = o * w.strides[d] + j - total / 2;
  if (s >= 0 && s < size) return s;
  return w.padding == Padding::circular ? (s + size) % size : -1;
}

/// All (position, weight 1) that output position o of a two-dimensional window reads, as flat indices; −1 for zeros.
std::vector<int64_t> sources(const Window& w, const std::vector<int64_t>& in, const std::vector<int64_t>& out, int64_t o) {
  std::vector<int64_t> list;
  for (int64_t j = 0; j < w.sizes[0]; ++j)
    for (int64_t i = 0; i < w.sizes[1]; ++i) {
      const int64_t r = source(w, 0, in[0], out[0], o / out[1], j), c = source(w, 1, in[1], out[1], o % out[1], i);
      list.push_back(r < 0 || c < 0 ? -1 : r * in[1] + c);
    }
  return list;
}

double entry(const Tensor& t, int64_t a, int64_t b) { return a < 0 || b < 0 ? 0 : t[a][b].item<double>(); }

const std::vector<Window> windows = {
    {{3, 3}, {1, 1}, Padding::valid},    {{3, 3}, {1, 1}, Padding::same},     {{2, 3}, {2, 1}, Padding::same},
            {{3, 2}, {2, 2}, Padding::circular},
    {{2, 2}, {2, 2}, Padding::valid},    {{4, 1}, {3, 2}, Padding::same},     {{3, 3}, {1, 1}, Padding::circular},
};

TEST(Windows, SumWhatTheyAreDefinedToSum) {
  const std::vector<int64_t> in = {5, 4};
  const Tensor t = at::randn({2, 5, 4, 5, 4}, at::kDouble), signal = at::randn({2, 3, 5, 4}, at::kDouble);
  for (const Window& w : windows) {
    const std::vector<int64_t> out = w.output_space(in, "test");
    if (w.padding != Padding::valid) {
      EXPECT_EQ(out[0], (in[0] + w.strides[0] - 1) / w.strides[0]) << w.specification();
    }
    const int64_t S = out[0] * out[1];
    const Tensor together = window_sum(t, w, 1, true, true).reshape({2, S, S}), apart = window_sum(t, w, 1, true, false).reshape({2, S, S});
    const Tensor one = window_sum(signal, w, 2, false, false).reshape({2, 3, S});
    const Tensor flat = t.reshape({2, 20, 20})[1], line = signal.reshape({2, 3, 20})[1];
    for (int64_t o = 0; o < S; ++o) {
      const std::vector<int64_t> from = sources(w, in, out, o);
      double single = 0;
      for (const int64_t s : from) single += entry(line, s < 0 ? -1 : 2, s);
      EXPECT_NEAR(one[1][2][o].item<double>(), single, 1e-13) << w.specification();
      for (int64_t p = 0; p < S; ++p) {
        const std::vector<int64_t> other = sources(w, in, out, p);
        double shifted = 0, all = 0;
        for (size_t j = 0; j < from.size(); ++j) {
          shifted += entry(flat, from[j], other[j]);
          for (size_t i = 0; i < other.size(); ++i) all += entry(flat, from[j], other[i]);
        }
        ASSERT_NEAR(together[1][o][p].item<double>(), shifted, 1e-13) << w.specification();
        ASSERT_NEAR(apart[1][o][p].item<double>(), all, 1e-13) << w.specification();
      }
    }
  }
}

TEST(Windows, AtTheSamePositionAreTheDiagonalOfAllPairs) {
  const Tensor t = at::randn({3, 6, 6}, at::kDouble);
  const Window w{{3}, {2}, Padding::same};
  EXPECT_LE(testing::largest_difference(window_sum(t.diagonal(0, 1, 2), w, 1, false, true), window_sum(t, w, 1, true, true).diagonal(0, 1, 2)),
            1e-15);
}

TEST(Windows, LargerThanTheirInputAreRefused) {
  EXPECT_REFUSED(InvalidInput, "larger than its input", (Window{{4}, {1}, Padding::valid}).output_space({3}, "conv:4"));
  EXPECT_REFUSED(InvalidInput, "larger than its input", (Window{{9}, {1}, Padding::circular}).output_space({3}, "conv:9"));
  EXPECT_EQ((Window{{9}, {1}, Padding::same}).output_space({3}, "conv:9"), (std::vector<int64_t>{3}));
}

}  // namespace
}  // namespace pathkernel
