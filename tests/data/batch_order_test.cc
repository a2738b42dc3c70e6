#include <pathkernel/core/error.h>
#include <pathkernel/data/batch_order.h>
#include <pathkernel/data/npy.h>

#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>
#include <scratch.h>

#include <cmath>

namespace pathkernel {
namespace {

using testing::Scratch;

TEST(BatchOrder, EveryEpochIsAPermutation) {
  const std::vector<Tensor> batches = shuffled_batches(10, 4, 2, 7);
  ASSERT_EQ(batches.size(), 6u);
  for (const size_t epoch : {0u, 1u}) {
    EXPECT_EQ(batches[3 * epoch].size(0), 4);
    EXPECT_EQ(batches[3 * epoch + 2].size(0), 2) << "the last batch is as short as it comes out";
    const Tensor all = at::cat({batches[3 * epoch], batches[3 * epoch + 1], batches[3 * epoch + 2]});
    EXPECT_TRUE(std::get<0>(all.sort()).equal(at::arange(10)));
  }
  EXPECT_FALSE(batches[0].equal(batches[3])) << "epochs are shuffled anew";
}

TEST(BatchOrder, DependsOnTheSeedAlone) {
  EXPECT_TRUE(shuffled_batches(100, 10, 3, 7)[25].equal(shuffled_batches(100, 10, 5, 7)[25])) << "not on how long the run is";
  EXPECT_FALSE(shuffled_batches(100, 10, 1, 7)[0].equal(shuffled_batches(100, 10, 1, 8)[0]));
  // regression: a run started from the same seed must draw the same examples in every version
  EXPECT_TRUE(shuffled_batches(10, 10, 1, 0)[0].equal(at::tensor({8, 3, 0, 6, 7, 1, 9, 2, 5, 4}, at::kLong)));
}

TEST(BatchOrder, FractionsOfEpochs) {
  EXPECT_EQ(shuffled_batches(60000, 64, 1, 0).size(), 938u);
  EXPECT_EQ(shuffled_batches(60000, 64, 0.5, 0).size(), 469u);
  EXPECT_EQ(shuffled_batches(10, 4, 1.3, 0).size(), 4u);
  EXPECT_EQ(shuffled_batches(10, 4, 1e-9, 0).size(), 1u) << "at least one step";
  EXPECT_EQ(shuffled_batches(3, 64, 1, 0)[0].size(0), 3);
  for (const double epochs : {0.0, -1.0, std::nan(""), HUGE_VAL})
    EXPECT_REFUSED(InvalidInput, "must be positive", shuffled_batches(10, 4, epochs, 0));
  EXPECT_REFUSED(InvalidInput, "must be positive", shuffled_batches(0, 4, 1, 0));
  EXPECT_REFUSED(InvalidInput, "must be positive", shuffled_batches(10, 0, 1, 0));
  EXPECT_REFUSED(InvalidInput, "thousand million", shuffled_batches(10, 4, 1e18, 0));
}

std::vector<Tensor> from_table(const Tensor& table) {
  const Scratch scratch;
  write_npy(scratch.path("b.npy"), table);
  return batches_from_file(scratch.path("b.npy"), 10);
}

TEST(BatchOrder, FromAFile) {
  const std::vector<Tensor> batches = from_table(at::tensor({3, 3, 9, 0, 1, -1}, at::kLong).reshape({2, 3}));
  ASSERT_EQ(batches.size(), 2u);
  EXPECT_TRUE(batches[0].equal(at::tensor({3, 3, 9}, at::kLong))) << "an example may stand twice";
  EXPECT_TRUE(batches[1].equal(at::tensor({0, 1}, at::kLong)));
  EXPECT_REFUSED(InvalidInput, "row 1: the example number 10 is not in 0..9", from_table(at::tensor({1, 10}, at::kLong).reshape({2, -1})));
  EXPECT_REFUSED(InvalidInput, "row 0: the example number -2", from_table(at::tensor({-2, 1}, at::kLong).reshape({1, -1})));
  EXPECT_REFUSED(InvalidInput, "row 0: the example number 1 is not", from_table(at::tensor({0, -1, 1}, at::kLong).reshape({1, -1})));
  EXPECT_REFUSED(InvalidInput, "row 0: no examples", from_table(at::tensor({-1, -1}, at::kLong).reshape({1, -1})));
  EXPECT_REFUSED(InvalidInput, "found int32 [1, 1], expected int64", from_table(at::tensor({1}, at::kInt).reshape({1, -1})));
  EXPECT_REFUSED(InvalidInput, "found int64 [2]", from_table(at::tensor({1, 2}, at::kLong)));
}

}  // namespace
}  // namespace pathkernel
