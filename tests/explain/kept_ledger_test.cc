// Files and answers of a ledger that keeps each query's largest contributions.

#include "synthetic_ledger.h"

#include <pathkernel/core/error.h>
#include <pathkernel/explain/agreement.h>
#include <pathkernel/explain/answers.h>
#include <pathkernel/explain/ledger_file.h>
#include <pathkernel/explain/pages.h>

#include <ATen/TensorOperators.h>
#include <ATen/ops/full.h>
#include <ATen/ops/sort.h>
#include <gtest/gtest.h>

#include <cmath>
#include <functional>

namespace pathkernel {
namespace {

using test::ScratchFolder;
using test::has;
using test::synthetic_ledger;

constexpr int64_t K = 3, N = 6;

/// What the sweep would have kept of this ledger.
Ledger kept_ledger() {
  Ledger l = synthetic_ledger();
  const auto [sizes, order] = at::sort(l.contributions.abs(), true, 0, true);
  const Tensor sorted = l.contributions.gather(0, order);
  l.kept = sorted.narrow(0, 0, K).contiguous();
  l.kept_examples = order.narrow(0, 0, K).contiguous();
  l.dropped = sorted.narrow(0, K, N - K).sum(0);
  l.dropped_size = sizes.narrow(0, K, N - K).sum(0);
  l.dropped_count = at::full({3}, N - K, at::kLong);
  for (Tensor* t : {&l.contributions, &l.draws, &l.draw_step, &l.draw_example, &l.by_layer_step, &l.by_class_step}) *t = Tensor();
  return l;
}

TEST(KeptLedger, AFileKeepsIt) {
  ScratchFolder scratch;
  const Ledger a = kept_ledger();
  save(a, scratch / "ledger");
  const Ledger b = load_ledger(scratch / "ledger");
  for (const auto member : {&Ledger::kept, &Ledger::kept_examples, &Ledger::dropped, &Ledger::dropped_size, &Ledger::dropped_count, &Ledger::by_step, &Ledger::by_class})
    EXPECT_TRUE((a.*member).equal(b.*member));
  EXPECT_FALSE(b.contributions.defined());
  EXPECT_EQ(b.example_count(), N);
  EXPECT_TRUE(a.change().equal(b.change()));
}

TEST(KeptLedger, AnswersAreThoseOfTheWhole) {
  const Ledger whole = synthetic_ledger(), kept = kept_ledger();
  for (int64_t q = 0; q < 3; ++q) {
    const Top all = top(whole, q, N), some = top(kept, q, N);
    EXPECT_NEAR(all.sum_towards, some.sum_towards, 1e-14);
    EXPECT_NEAR(all.sum_away, some.sum_away, 1e-14);
    EXPECT_EQ(int64_t(some.towards.size() + some.away.size()), K);
    for (size_t k = 0; k < some.towards.size(); ++k) {
      EXPECT_EQ(some.towards[k].example, all.towards[k].example);
      EXPECT_NEAR(some.towards[k].share, all.towards[k].share, 1e-14);
    }
    for (size_t k = 0; k < some.away.size(); ++k) EXPECT_EQ(some.away[k].example, all.away[k].example);
    EXPECT_EQ(all.limits, "");
    EXPECT_TRUE(has(some.limits, "the largest 3 of 6 contributions; the other 3 sum to "));
    const auto a = waterfall(whole, q), b = waterfall(kept, q);
    ASSERT_EQ(a.size(), b.size());
    for (size_t k = 0; k < a.size(); ++k) EXPECT_NEAR(a[k].to, b[k].to, 1e-12);
  }
  EXPECT_TRUE(has(report_page(kept, {}, {}), "the largest 3 of 6 contributions"));
}

TEST(KeptLedger, FormsDoNotMix) {
  ScratchFolder scratch;
  Ledger both = kept_ledger();
  both.contributions = synthetic_ledger().contributions;
  EXPECT_THROW(save(both, scratch / "ledger"), InvariantViolated);
  Ledger half = kept_ledger();
  half.dropped_size = Tensor();
  EXPECT_THROW(save(half, scratch / "ledger"), InvariantViolated);
  Ledger none = synthetic_ledger();
  none.draws = Tensor();
  EXPECT_THROW(save(none, scratch / "ledger"), InvariantViolated);
}

struct Harm {
  const char* name;
  std::function<void(Ledger&)> harm;
  const char* message;
};
class KeptDisagreement : public ::testing::TestWithParam<Harm> {};

TEST_P(KeptDisagreement, IsNamed) {
  Ledger l = kept_ledger();
  ASSERT_EQ(first_disagreement(l), "");
  GetParam().harm(l);
  EXPECT_TRUE(has(first_disagreement(l), GetParam().message));
}
INSTANTIATE_TEST_SUITE_P(
    Views, KeptDisagreement,
    ::testing::Values(Harm{"kept", [](Ledger& l) { l.kept[0][1] *= 1.01; }, "by_step against kept + dropped"},
                      Harm{"order", [](Ledger& l) { l.kept = l.kept.flip(0), l.kept_examples = l.kept_examples.flip(0); }, "not ordered by size"},
                      Harm{"dropped", [](Ledger& l) { l.dropped[2] += 1e-3; }, "kept + dropped"},
                      Harm{"dropped_size", [](Ledger& l) { l.dropped_size[0] += 3 * l.kept[K - 1][0].abs(); }, "the smallest that was kept"},
                      Harm{"no_size", [](Ledger& l) { l.dropped_size[0] = 0; }, "dropped against dropped_size"},
                      Harm{"count", [](Ledger& l) { l.dropped_count = l.dropped_count + 1; }, "example_targets of 6"},
                      Harm{"one_count", [](Ledger& l) { l.dropped_count[2] = 7; }, "dropped_count is not the same"},
                      Harm{"example", [](Ledger& l) { l.kept_examples[1][1] = 6; }, "kept_examples has 6 outside 0 … 5"},
                      Harm{"twice", [](Ledger& l) { l.kept_examples[1][1] = l.kept_examples[0][1].item<int64_t>(); }, "twice"},
                      Harm{"by_step", [](Ledger& l) { l.by_step[3][0] += 1e-3; }, "by_step"},
                      Harm{"by_layer", [](Ledger& l) { l.by_layer[1][0] += 1e-3; }, "by_layer"},
                      Harm{"by_class", [](Ledger& l) { l.by_class[0][2] += 1e-3; }, "by_class"},
                      Harm{"nan", [](Ledger& l) { l.dropped[1] = std::nan(""); }, "dropped"},
                      Harm{"final", [](Ledger& l) { l.final[1] += 1e-3; }, "final"}),
    [](const auto& info) { return std::string(info.param.name); });

}  // namespace
}  // namespace pathkernel
