#include <pathkernel/core/error.h>
#include <pathkernel/data/dataset.h>

#include <ATen/ops/arange.h>
#include <ATen/ops/remainder.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>

#include <set>

namespace pathkernel {
namespace {

Dataset classes(int64_t n, int64_t count) {
  Dataset data;
  data.name = "made";
  data.inputs = at::zeros({n, 2});
  data.targets = at::remainder(at::arange(n, at::kLong), count);
  for (int64_t c = 0; c < count; ++c) data.class_names.push_back(std::to_string(c));
  return data;
}

TEST(LabelFlips, EveryOtherClassIsAsLikely) {
  const Dataset data = classes(20000, 5);
  const LabelFlips flips = plant_flips(data, 0.5, 3);
  ASSERT_EQ(flips.examples.size(), 10000u);
  EXPECT_EQ(std::set<int64_t>(flips.examples.begin(), flips.examples.end()).size(), 10000u) << "none twice";
  std::vector<int64_t> by_distance(5, 0);
  for (size_t k = 0; k < flips.examples.size(); ++k) {
    EXPECT_EQ(flips.originals[k], flips.examples[k] % 5);
    ++by_distance[size_t((flips.labels[k] - flips.originals[k] + 5) % 5)];
  }
  EXPECT_EQ(by_distance[0], 0);
  for (size_t d = 1; d < 5; ++d) EXPECT_NEAR(double(by_distance[d]), 2500, 5 * 43);  // five standard deviations
}

TEST(LabelFlips, FollowFromTheSeedAndArePutIn) {
  Dataset data = classes(100, 3);
  const uint64_t before = fingerprint(data);
  const Tensor own = data.targets;
  const LabelFlips flips = plant_flips(data, 0.1, 7);
  EXPECT_EQ(flips.examples, plant_flips(data, 0.1, 7).examples);
  EXPECT_NE(flips.examples, plant_flips(data, 0.1, 8).examples);
  apply(flips, data);
  EXPECT_NE(fingerprint(data), before);
  EXPECT_EQ((data.targets != own).sum().item<int64_t>(), 10) << "the reader's own labels stay as they are";
  for (size_t k = 0; k < flips.examples.size(); ++k) EXPECT_EQ(data.targets[flips.examples[k]].item<int64_t>(), flips.labels[k]);
  EXPECT_THROW(apply(flips, data), InvalidInput) << "these labels are not the originals any more";
}

TEST(LabelFlips, AreRefusedWhereThereIsNothingToFlip) {
  EXPECT_THROW(plant_flips(classes(100, 3), 0.001, 1), InvalidInput);
  EXPECT_THROW(plant_flips(classes(100, 3), 1.1, 1), InvalidInput);
  EXPECT_THROW(plant_flips(classes(100, 1), 0.1, 1), InvalidInput);
}

}  // namespace
}  // namespace pathkernel
