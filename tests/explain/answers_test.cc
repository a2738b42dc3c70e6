#include "synthetic_ledger.h"

#include <pathkernel/core/error.h>
#include <pathkernel/explain/agreement.h>
#include <pathkernel/explain/answers.h>

#include <ATen/TensorOperators.h>
#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

#include <cmath>

namespace pathkernel {
namespace {

using test::synthetic_ledger;
using test::has;
using Kind = WaterfallBar::Kind;

TEST(Agreement, OfAWholeLedger) {
  EXPECT_EQ(first_disagreement(synthetic_ledger(false)), "");
  EXPECT_EQ(first_disagreement(synthetic_ledger(true)), "");
}

TEST(Agreement, CountsAWindowFromItsFirstStep) {
  Ledger l = synthetic_ledger();
  l.settings.first_step += 10;
  l.settings.last_step += 10;
  EXPECT_TRUE(has(first_disagreement(l), "draw_step has 0 outside 10 … 13"));
  l.draw_step = l.draw_step + 10;
  EXPECT_EQ(first_disagreement(l), "");
}

struct Damage {
  const char* name;
  Tensor Ledger::*tensor;
  const char* message;
};
class Disagreement : public ::testing::TestWithParam<Damage> {};

TEST_P(Disagreement, IsNamed) {
  Ledger l = synthetic_ledger();
  Tensor& t = l.*GetParam().tensor;
  t = t.clone();
  t.reshape(-1)[t.numel() - 1] += 1e-3;
  EXPECT_TRUE(has(first_disagreement(l), GetParam().message));
  t.reshape(-1)[t.numel() - 1].fill_(std::nan(""));
  EXPECT_NE(first_disagreement(l), "");
}
INSTANTIATE_TEST_SUITE_P(
    Views, Disagreement,
    ::testing::Values(Damage{"contributions", &Ledger::contributions, "contributions"}, Damage{"draws", &Ledger::draws, "contributions"},
                      Damage{"by_step", &Ledger::by_step, "by_step"}, Damage{"by_layer", &Ledger::by_layer, "by_layer"},
                      Damage{"by_class", &Ledger::by_class, "by_class"}, Damage{"by_layer_step", &Ledger::by_layer_step, "by_layer_step"},
                      Damage{"by_class_step", &Ledger::by_class_step, "by_class_step"}, Damage{"initial", &Ledger::initial, "final"},
                      Damage{"residual", &Ledger::residual, "final"}, Damage{"jumps", &Ledger::jumps, "final"},
                      Damage{"outputs", &Ledger::outputs, "outputs at the end"}),
    [](const auto& info) { return std::string(info.param.name); });

TEST(Top, OrdersBothSidesAndCountsAll) {
  Ledger l = synthetic_ledger();
  l.contributions.select(1, 1).copy_(at::tensor({0.5, -2.0, 0.0, 3.0, -0.5, 0.5}, at::kDouble));
  const Top best = top(l, 1, 2);
  ASSERT_EQ(best.towards.size(), 2u);
  EXPECT_EQ(best.towards[0].example, 3);
  EXPECT_EQ(best.towards[1].example, 0) << "ties go to the smaller number";
  EXPECT_DOUBLE_EQ(best.towards[0].share, 3.0 / 6.5);
  ASSERT_EQ(best.away.size(), 2u);
  EXPECT_EQ(best.away[0].example, 1);
  EXPECT_DOUBLE_EQ(best.away[0].contribution, -2);
  EXPECT_DOUBLE_EQ(best.sum_towards + best.sum_away, l.contributions.select(1, 1).sum().item<double>());
  EXPECT_EQ(best.count_towards, 3);
  EXPECT_EQ(best.count_away, 2);
  EXPECT_EQ(top(l, 1, 100).towards.size(), 3u) << "examples that did nothing are not listed";
}

TEST(Top, RefusesAQueryThatIsNotThere) {
  const Ledger l = synthetic_ledger();
  EXPECT_THROW(top(l, 3, 1), InvalidInput);
  EXPECT_THROW(waterfall(l, -1), InvalidInput);
}

class Waterfall : public ::testing::TestWithParam<bool> {};

TEST_P(Waterfall, LandsOnTheFinalNetwork) {
  const Ledger l = synthetic_ledger(GetParam());
  for (int64_t q = 0; q < l.query_count(); ++q) {
    const auto bars = waterfall(l, q);
    ASSERT_EQ(bars.front().kind, Kind::initial);
    ASSERT_EQ(bars.back().kind, Kind::final);
    for (size_t i = 1; i + 1 < bars.size(); ++i) EXPECT_EQ(bars[i].from, bars[i - 1].to);
    double sum = 0;
    for (size_t i = 0; i + 1 < bars.size(); ++i) sum += bars[i].amount;
    EXPECT_NEAR(sum, bars.back().to, 1e-14);
    EXPECT_EQ(bars[bars.size() - 2].to, l.final[q].item<double>());
    EXPECT_EQ(bars.size(), 5u + present_terms(l).size()) << "initial, two bars of examples, terms, residual, final";
  }
}
INSTANTIATE_TEST_SUITE_P(Kinds, Waterfall, ::testing::Bool());

TEST(Certificate, SaysInOneLineWhatItProves) {
  Ledger l = synthetic_ledger();
  l.certificate.residual_to_contributions = at::tensor({1e-8, 3e-7, 2e-8}, at::kDouble);
  l.certificate.residual_to_change = at::tensor({1e-7, 1e-5, INFINITY}, at::kDouble);
  EXPECT_EQ(l.certificate.brief(l.settings.conventions()),
            "adds up to 3e-07 of Σ|c| (1e-05 of f_T − f_0); shares uncertain by ±0.6 % (at most ±1.2 %), from 2 sampled steps; "
            "conventions: propagated decay, frozen preconditioner, credit at draw time");
  l.certificate.split_uncertainty = Tensor();
  l.certificate.replay_exact = false;
  l.certificate.first_drift = 12;
  l.certificate.correction_share = 0.031;
  const std::string line = l.certificate.brief("none");
  EXPECT_TRUE(has(line, "uncertainty of the shares not measured"));
  EXPECT_TRUE(has(line, "3.1 % of the reverse pass by operations without a rule"));
  EXPECT_TRUE(has(line, "drifted from step 12"));
  EXPECT_TRUE(has(certificate_of(synthetic_ledger(), 1).brief("none"), "±0.4 %,"));
}

}  // namespace
}  // namespace pathkernel
