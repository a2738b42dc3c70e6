// The driver: tiles make the matrix of one piece, exactly symmetric, within the memory, in files, and stop with what is wrong.

#include "comparisons.h"

#include <pathkernel/core/error.h>
#include <pathkernel/data/mapped_npy.h>
#include <pathkernel/data/npy.h>
#include <pathkernel/kernel/classical.h>
#include <pathkernel/kernel/gram.h>
#include <pathkernel/kernel/network.h>

#include <ATen/Parallel.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/randn.h>
#include <scratch.h>

#include <cmath>
#include <limits>
#include <mutex>

namespace pathkernel {
namespace {

using testing::relative_difference;
using testing::Scratch;

class Gram : public ::testing::Test {
 protected:
  void SetUp() override { threads_ = at::get_num_threads(); }
  void TearDown() override { at::set_num_threads(threads_); }
  const KernelPtr kernel = parse_kernel("0.5*rbf:1.5 + ntk(dense:b=0.1 relu dense)");
  const Tensor x = at::randn({101, 7}, at::kDouble), y = at::randn({47, 7}, at::kDouble);

 private:
  int threads_ = 1;
};

TEST_F(Gram, TilesMakeTheMatrixOfOnePiece) {
  const Tensor whole = kernel->gram(x), rectangle = kernel->gram(x, y);
  for (const int threads : {1, 3})
    for (const int64_t tile : {0, 1, 8, 64, 1000}) {
      at::set_num_threads(threads);
      if (tile == 1 && threads == 3) continue;
      const Tensor K = gram_matrix(*kernel, x, {}, {.tile = tile});
      EXPECT_TRUE(K.equal(K.t())) << tile;
      EXPECT_LE(relative_difference(K, whole), 1e-14) << tile;
      EXPECT_LE(relative_difference(gram_matrix(*kernel, x, y, {.tile = tile}), rectangle), 1e-14) << tile;
    }
  testing::expect_positive_semi_definite(gram_matrix(*kernel, x));
  EXPECT_LE(relative_difference(gram_diagonal(*kernel, x, {.memory = 20000}), whole.diagonal()), 1e-14);
}

TEST_F(Gram, SymmetricTilesAreComputedOnce) {
  std::mutex lock;
  int64_t calls = 0, total = 0;
  const auto count = [&](const std::string&, int64_t done, int64_t of) {
    const std::lock_guard guard(lock);
    calls = std::max(calls, done);
    total = of;
  };
  gram_matrix(*kernel, x, {}, {.tile = 10, .progress = count});
  EXPECT_EQ(total, 11 * 12 / 2);
  EXPECT_EQ(calls, total);
  gram_matrix(*kernel, x, y, {.tile = 10, .progress = count});
  EXPECT_EQ(total, 11 * 5);
}

TEST_F(Gram, FilesHoldTheSameMatrix) {
  const Scratch scratch;
  for (const auto dtype : {at::kDouble, at::kFloat}) {
    gram_to_npy(*kernel, x.to(dtype), {}, scratch.path("K.npy"), {.tile = 16});
    const Tensor K = read_npy(scratch.path("K.npy"));
    EXPECT_EQ(K.scalar_type(), dtype);
    EXPECT_TRUE(K.equal(gram_matrix(*kernel, x.to(dtype), {}, {.tile = 16})));
    gram_to_npy(*kernel, x.to(dtype), y.to(dtype), scratch.path("K.npy"));
    EXPECT_TRUE(read_npy(scratch.path("K.npy")).equal(gram_matrix(*kernel, x.to(dtype), y.to(dtype))));
  }
}

TEST_F(Gram, MemoryIsKept) {
  const int64_t matrix = 101 * 101 * 8;
  EXPECT_REFUSED(InvalidInput, "allow more memory, or take fewer inputs; only written to a file (pathkernel kernel -o FILE.npy)", gram_matrix(*kernel, x, {}, {.memory = matrix}));
  EXPECT_LE(relative_difference(gram_matrix(*kernel, x, {}, {.memory = matrix + matrix / 4}), kernel->gram(x)), 1e-14);
  EXPECT_REFUSED(InvalidInput, "take more than the", gram_matrix(*kernel, x, {}, {.memory = matrix + matrix / 4, .tile = 100}));
  const Scratch scratch;
  gram_to_npy(*kernel, x, {}, scratch.path("K.npy"), {.memory = 10000});
  EXPECT_LE(relative_difference(read_npy(scratch.path("K.npy")), kernel->gram(x)), 1e-14);
  EXPECT_REFUSED(InvalidInput, "one pair of inputs takes", gram_to_npy(*kernel, x, {}, scratch.path("K.npy"), {.memory = 10}));
  const KernelPtr images = parse_kernel("ntk(conv:3x3,same relu gap dense)");
  EXPECT_REFUSED(InvalidInput, "one pair of inputs takes", gram_to_npy(*images, at::randn({2, 1, 28, 28}), {}, scratch.path("K.npy"),
                                                                       {.memory = 1 << 20}));
}

TEST_F(Gram, WrongInputsAreNamed) {
  Tensor broken = x.clone();
  broken[90][3] = std::numeric_limits<double>::quiet_NaN();
  EXPECT_REFUSED(InvalidInput, "x holds NaN or an infinite number in row 90", gram_matrix(*kernel, broken, {}, {.tile = 8}));
  EXPECT_REFUSED(InvalidInput, "y holds NaN", gram_matrix(*kernel, x, broken));
  EXPECT_REFUSED(InvalidInput, "they may differ only in the number of rows", gram_matrix(*kernel, x, at::randn({3, 6}, at::kDouble)));
  EXPECT_REFUSED(InvalidInput, "they may differ only in the number of rows", gram_matrix(*kernel, x, y.to(at::kFloat)));
  EXPECT_REFUSED(InvalidInput, "convert it to float64 or float32", gram_matrix(*kernel, at::arange(6).reshape({2, 3})));
  EXPECT_REFUSED(InvalidInput, "at least one example", gram_matrix(*kernel, x.narrow(0, 0, 0)));
  EXPECT_REFUSED(InvalidInput, "expected [n, ...]", gram_matrix(*kernel, x[0]));
}

TEST_F(Gram, EntriesThatAreNotFiniteAreNamed) {
  const Scratch scratch;
  Tensor large = x.to(at::kFloat).clone();
  large[70].fill_(7.0);
  const KernelPtr overflowing = parse_kernel("nngp(dense exp dense)");
  EXPECT_REFUSED(InvalidInput, "entry (70, 70) of nngp(dense:w=1 exp dense:w=1) is inf",
                 gram_to_npy(*overflowing, large, {}, scratch.path("K.npy"), {.tile = 32}));
  EXPECT_TRUE(std::filesystem::is_empty(scratch.path())) << "nothing is left behind";
  const Tensor twice = x.narrow(0, 0, 3);
  EXPECT_REFUSED(InvalidInput, "is inf", gram_matrix(*parse_kernel("ntk(dense sign dense)"), twice * 2, twice));  // collinear
}

TEST_F(Gram, ProgressMayStopTheWork) {
  const Scratch scratch;
  const auto stop = [](const std::string&, int64_t done, int64_t) {
    if (done == 3) throw std::runtime_error("stopped");
  };
  at::set_num_threads(2);
  EXPECT_THROW(gram_to_npy(*kernel, x, {}, scratch.path("K.npy"), {.tile = 8, .progress = stop}), std::runtime_error);
  EXPECT_TRUE(std::filesystem::is_empty(scratch.path()));
}

TEST_F(Gram, MonteCarloComesWithItsErrors) {
  EXPECT_REFUSED(InvalidInput, "is exact", gram_estimate(*kernel, x, {}, 4));
  const KernelPtr attention = parse_kernel("2*nngp(dense attention:scale=sqrt,samples=50 gap dense)");
  const Tensor tokens = at::randn({4, 3, 2}, at::kDouble);
  const GramEstimate few = gram_estimate(*attention, tokens, {}, 16), many = gram_estimate(*attention, tokens, {}, 256);
  EXPECT_TRUE(few.mean.equal(few.mean.t()));
  EXPECT_LE(((few.mean - many.mean).abs() / few.standard_error).max().item<double>(), 4.0);
  EXPECT_NEAR((few.standard_error / many.standard_error).mean().item<double>(), 4.0, 1.2) << "falls as one over the root of the draws";
  EXPECT_GT(few.standard_error.min().item<double>(), 0);
  EXPECT_REFUSED(InvalidInput, "at least 2", gram_estimate(*attention, tokens, {}, 1));
}

TEST(MappedNpy, AppearsWholeOrNotAtAll) {
  const Scratch scratch;
  {
    const MappedNpy file(scratch.path("a.npy"), {3, 4}, at::kDouble);
    Tensor t = file.tensor();
    t.fill_(1);
  }
  EXPECT_TRUE(std::filesystem::is_empty(scratch.path()));
  MappedNpy file(scratch.path("a.npy"), {3, 4}, at::kFloat);
  Tensor t = file.tensor();
  EXPECT_EQ(t.abs().sum().item<double>(), 0);
  t.copy_(at::arange(12).reshape({3, 4}));
  file.commit();
  EXPECT_TRUE(read_npy(scratch.path("a.npy")).equal(at::arange(12, at::kFloat).reshape({3, 4})));
  EXPECT_REFUSED(InvalidInput, "No such file", MappedNpy(scratch.path("nowhere/a.npy"), {3, 4}, at::kFloat));
  EXPECT_REFUSED(InvalidInput, "on the disk", MappedNpy(scratch.path("b.npy"), {1 << 30, 1 << 30}, at::kFloat));
}

}  // namespace
}  // namespace pathkernel
