#include <pathkernel/core/error.h>
#include <pathkernel/core/hash.h>
#include <pathkernel/data/text.h>

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <scratch.h>

#include <cmath>

namespace pathkernel {
namespace {

/// Place and sign of a word or a pair.
std::pair<int64_t, double> place(const std::string& gram, int64_t buckets) {
  const uint64_t hash = hash_of_bytes(gram);
  return {static_cast<int64_t>((hash >> 1) % static_cast<uint64_t>(buckets)), hash & 1 ? 1 : -1};
}

TEST(HashedTexts, AreSignedCountsOfWordsAndPairsOfLengthOne) {
  constexpr int64_t buckets = 4096;
  const Tensor x = hashed_texts({"The tax, the TAX!"}, buckets);
  Tensor expected = at::zeros({buckets});
  for (const auto& [gram, count] : {std::pair<std::string, double>{"the", 2}, {"tax", 2}, {"the tax", 2}, {"tax the", 1}}) {
    const auto [k, sign] = place(gram, buckets);
    expected[k] += sign * count;
  }
  EXPECT_TRUE(at::allclose(x[0], expected / expected.norm()));
  EXPECT_EQ(x.scalar_type(), at::kFloat);
}

TEST(HashedTexts, CaseAndPunctuationDoNotMatterWordsDo) {
  const Tensor x = hashed_texts({"It's FREE - now", "it's free now?", "its free now", "caf\xc3\xa9", "caf", ""}, 256);
  EXPECT_TRUE(at::equal(x[0], x[1]));
  EXPECT_FALSE(at::equal(x[0], x[2]));
  EXPECT_FALSE(at::equal(x[3], x[4]));
  EXPECT_EQ(x[5].abs().max().item<float>(), 0) << "a text without words";
  EXPECT_TRUE(at::allclose(x.narrow(0, 0, 5).norm(2, {1}), at::ones({5})));
}

TEST(HashedTexts, NeedABucket) { EXPECT_REFUSED(InvalidInput, "buckets", hashed_texts({"a"}, 0)); }

}  // namespace
}  // namespace pathkernel
