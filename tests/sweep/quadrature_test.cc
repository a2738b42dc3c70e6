// Orders of the rules (theory 3, 3b), and what E says of the split against a reference integral.

#include <fmt/format.h>
#include <gtest/gtest.h>
#include <pathkernel/data/batch_order.h>

#include <cstdio>

#include "sweep/small_runs.h"

namespace pathkernel {
namespace {

using testing::RecordedRun;

Tensor size_of(const Tensor& t) { return t.square().sum(0).sqrt(); }                                  // per query
Tensor distance(const Tensor& a, const Tensor& b) { return size_of(a - b) / size_of(b); }
double middle(const Tensor& t) { return t.median().item<double>(); }

/// One full-batch step of a smooth net with learning rate lr; Δ is proportional to lr.
Ledger one_step(double lr, const std::string& rule, int64_t panels = 1) {
  const RecordedRun run(testing::network("mlp:5-8-8-3", "tanh"), testing::random_classes(12, {5}, 3, 1), testing::manifest({.lr = lr}, "cross-entropy", 12),
                        shuffled_batches(12, 12, 1, 3));
  const Dataset asked = testing::random_classes(9, {5}, 3, 7);
  SweepOptions options = testing::in_double("logits", rule, panels);
  options.sampled_steps = 0;
  return run.explain(testing::first_inputs(asked, 9), options);
}

/// log₂ of how much smaller the error gets when the step is halved, at the median query.
double order(const std::function<Tensor(double)>& error, double lr) { return middle((error(lr) / error(lr / 2)).log2()); }

TEST(Quadrature, OrdersOfCompleteness) {
  struct Case { const char* rule; int64_t panels; double order, lr; };
  // lr: small enough for the leading term, large enough to stand above rounding
  for (const Case& c : {Case{"left", 1, 2, 0.05}, {"left", 4, 2, 0.05}, {"gauss:1", 1, 3, 0.1}, {"gauss:1", 3, 3, 0.1}, {"gauss:2", 1, 5, 0.4}, {"gauss:3", 1, 7, 1.0}}) {
    const double found = order([&](double lr) { return one_step(lr, c.rule, c.panels).residual.abs(); }, c.lr);
    fmt::print("{} with {} panels: completeness of order {:.2f}, theory {}\n", c.rule, c.panels, found, c.order);
    EXPECT_NEAR(found, c.order, 0.3) << c.rule << " with " << c.panels << " panels";
  }
}

/// Panels: the composite rule's error falls by 2^{2q} with twice the panels (left: 2).
TEST(Quadrature, OrdersInPanels) {
  struct Case { const char* rule; double order, lr; };
  for (const Case& c : {Case{"left", 1, 0.3}, {"gauss:1", 2, 0.5}, {"gauss:2", 4, 1.0}}) {
    const double found = middle((one_step(c.lr, c.rule, 4).residual / one_step(c.lr, c.rule, 8).residual).abs().log2());
    EXPECT_NEAR(found, c.order, 0.2) << c.rule;
  }
}

/// The secant differs from the line integral by second order in the step, relative to G, and in 1/panels (theory 3b).
TEST(Quadrature, SecantIsSecondOrder) {
  const auto off = [](double lr, int64_t panels) { return distance(one_step(lr, "secant", panels).contributions, one_step(lr, "gauss:8", 2).contributions); };
  EXPECT_NEAR(order([&](double lr) { return off(lr, 1); }, 0.2), 2, 0.3);
  EXPECT_NEAR(middle((off(0.5, 1) / off(0.5, 2)).log2()), 2, 0.3);
  EXPECT_NEAR(middle((off(0.5, 2) / off(0.5, 4)).log2()), 2, 0.2);
  EXPECT_LE(middle(off(0.2, 1)), 1e-2);
}

struct Course {
  std::string name, model, activation;
  OptimizerSettings optimizer;
  int64_t examples, batch;
  double epochs;
  double farthest;  ///< the secant's own distance from the line integral: theory 3b's order, with room for small nets and few steps
};

class SplitUncertainty : public ::testing::TestWithParam<Course> {};
std::string course_name(const ::testing::TestParamInfo<Course>& info) { return info.param.name; }

// E is a claim about the split; here is the truth it claims to know: the distance to the line integral. Its reference: gauss:5 for smooth
// nets, where that is exact to rounding; for nets with kinks, where no affordable quadrature is (theory 3b), 16 panels of the secant,
// which tend to the line integral and are themselves compared with a composite quadrature below.
TEST_P(SplitUncertainty, IsOfTheSizeOfTheTruth) {
  const Course& r = GetParam();
  const bool images = r.model == "lenet", smooth = r.activation == "tanh";
  Dataset data = testing::random_classes(r.examples, images ? std::vector<int64_t>{1, 28, 28} : std::vector<int64_t>{20}, images ? 10 : 4, 1);
  const RecordedRun run(testing::network(r.model, r.activation), data, testing::manifest(r.optimizer, "cross-entropy", r.batch), shuffled_batches(r.examples, r.batch, r.epochs, 3));
  const Queries queries = testing::first_inputs(testing::random_classes(8, data.inputs.sizes().slice(1).vec(), int64_t(data.class_names.size()), 9), images ? 3 : 8);
  const Ledger secant = run.explain(queries, testing::in_double("log-odds"));
  SweepOptions every = testing::in_double("log-odds");
  every.sampled_steps = run.open().steps();
  const Tensor on_every_step = run.explain(queries, every).certificate.split_uncertainty;
  SweepOptions fine = testing::in_double("log-odds", smooth ? "gauss:5" : "secant", smooth ? 1 : 16);
  fine.sampled_steps = 0;
  const Ledger reference = run.explain(queries, fine);

  const Tensor truth = distance(secant.contributions, reference.contributions), estimate = secant.certificate.split_uncertainty;
  const double ratio = middle(estimate / truth);
  fmt::print("{}: {} steps, E estimated {:.2g} ({:.2g} from every step), true {:.2g}; ratio, median over queries, {:.2f} ({:.2f} from every step), from {:.2f} to {:.2f}\n", r.name,
             run.open().steps(), middle(estimate), middle(on_every_step), middle(truth), ratio, middle(on_every_step / truth), (estimate / truth).min().item<double>(),
             (estimate / truth).max().item<double>());
  EXPECT_GE(ratio, 0.3);
  EXPECT_LE(ratio, 10);
  EXPECT_LE(middle(truth), r.farthest);
  EXPECT_LE(middle(reference.residual.abs() / size_of(reference.contributions)), 0.1 * middle(truth)) << "the reference is too rough to measure against";
}

INSTANTIATE_TEST_SUITE_P(Courses, SplitUncertainty,
                         ::testing::Values(Course{"relu_sgd", "mlp:20-32-32-4", "relu", {.lr = 0.5}, 96, 16, 4, 3e-2},
                                           Course{"relu_momentum", "mlp:20-32-32-4", "relu", {.lr = 0.1, .momentum = 0.9}, 96, 16, 4, 3e-2},
                                           Course{"tanh_sgd", "mlp:20-32-32-4", "tanh", {.lr = 0.5}, 96, 16, 4, 1e-2},
                                           Course{"tanh_momentum", "mlp:20-32-32-4", "tanh", {.lr = 0.1, .momentum = 0.9}, 96, 16, 4, 1e-2},
                                           Course{"tanh_adamw", "mlp:20-32-32-4", "tanh", {.name = "adamw", .lr = 0.005, .weight_decay = 0.01}, 96, 16, 4, 1e-2},
                                           Course{"relu_adamw", "mlp:20-32-32-4", "relu", {.name = "adamw", .lr = 0.005, .weight_decay = 0.01}, 96, 16, 4, 3e-2},
                                           Course{"tanh_nesterov", "mlp:20-32-32-4", "tanh", {.lr = 0.05, .momentum = 0.9, .nesterov = true}, 96, 16, 4, 1e-2},
                                           Course{"tanh_nadam", "mlp:20-32-32-4", "tanh", {.name = "nadam", .lr = 0.005}, 96, 16, 4, 1e-2},
                                           Course{"tanh_rmsprop_momentum", "mlp:20-32-32-4", "tanh", {.name = "rmsprop", .lr = 0.001, .momentum = 0.9}, 96, 16, 4, 1e-2},
                                           Course{"tanh_clipped", "mlp:20-32-32-4", "tanh", {.lr = 0.5, .clip_norm = 0.4, .clip_value = 0.05}, 96, 16, 4, 1e-2},
                                           Course{"lenet_momentum", "lenet", "relu", {.lr = 0.01, .momentum = 0.9}, 24, 8, 2, 5e-2},
                                           Course{"lenet_adamw", "lenet", "relu", {.name = "adamw", .lr = 0.001, .weight_decay = 0.01}, 24, 8, 2, 5e-2}),
                         course_name);

/// On a net with kinks the panels of the secant and a composite Gauss–Legendre rule tend to the same integral: they differ by no more
/// than what the quadrature itself leaves open.
TEST(Quadrature, ReferenceAgreesWithCompositeQuadrature) {
  const RecordedRun run(testing::network("mlp:20-32-32-4", "relu"), testing::random_classes(96, {20}, 4, 1), testing::manifest({.lr = 0.5}, "cross-entropy", 16),
                        shuffled_batches(96, 16, 1, 3));
  const Queries queries = testing::first_inputs(testing::random_classes(8, {20}, 4, 9), 8);
  const auto with = [&](const char* rule, int64_t panels) {
    SweepOptions options = testing::in_double("log-odds", rule, panels);
    options.sampled_steps = 0;
    return run.explain(queries, options);
  };
  const Ledger one = with("secant", 1), many = with("secant", 16), gauss = with("gauss:3", 16);
  const double open = middle(gauss.residual.abs() / size_of(gauss.contributions)), between = middle(distance(many.contributions, gauss.contributions));
  fmt::print("16 panels of the secant and of gauss:3 differ by {:.1g}; gauss:3 is complete to {:.1g}, the single secant is {:.1g} away\n", between, open, middle(distance(one.contributions, gauss.contributions)));
  EXPECT_LE(between, 0.2 * middle(distance(one.contributions, gauss.contributions)) + 3 * open);
}

}  // namespace
}  // namespace pathkernel
