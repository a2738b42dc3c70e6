// Verification: the linear form an optimizer states reproduces the update it made (theory 2.1, mandatory assertion).
#include <pathkernel/core/error.h>
#include <pathkernel/train/optimizer.h>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace pathkernel {
namespace {

/// One optimizer with its settings; the name is the test's.
struct Case {
  std::string name;
  OptimizerSettings settings;
};

std::ostream& operator<<(std::ostream& out, const Case& c) { return out << c.name; }

std::vector<Case> cases() {
  return {
      {"sgd", {.name = "sgd", .lr = 0.1}},
      {"sgd_decay", {.name = "sgd", .lr = 0.1, .weight_decay = 0.01}},
      {"momentum", {.name = "sgd", .lr = 0.1, .momentum = 0.9}},
      {"dampening", {.name = "sgd", .lr = 0.1, .momentum = 0.9, .dampening = 0.2, .weight_decay = 0.1}},
      {"nesterov", {.name = "sgd", .lr = 0.1, .momentum = 0.9, .nesterov = true, .weight_decay = 0.1}},
      {"cosine", {.name = "sgd", .lr = 0.1, .momentum = 0.9, .schedule = "cosine"}},
      {"adam", {.name = "adam", .lr = 0.01}},
      {"adam_l2", {.name = "adam", .lr = 0.01, .weight_decay = 0.1}},
      {"adam_small_beta1", {.name = "adam", .lr = 0.01, .beta1 = 0.3}},
      {"adamw", {.name = "adamw", .lr = 0.01, .weight_decay = 0.1}},
      {"adamw_cosine", {.name = "adamw", .lr = 0.01, .weight_decay = 0.1, .schedule = "cosine"}},
  };
}

/// Runs `steps` steps with random gradients and returns the largest |Δ_FLF − Δ| over steps, with m from the recurrence itself
/// (so μ and N are checked too, not only D, E and the decays).
double largest_mismatch(const OptimizerSettings& settings, at::ScalarType dtype, int64_t steps) {
  at::manual_seed(7);
  const auto options = at::TensorOptions().dtype(dtype);
  const NamedTensors named = {{"a", at::randn({5, 7}, options)}, {"b", at::randn({7}, options)}};
  const Tensors w = values(named);
  const auto optimizer = make_optimizer(settings, named);
  Tensors m(w.size());
  double largest = 0;
  for (int64_t s = 0; s < steps; ++s) {
    const Tensors gradients = {at::randn({5, 7}, options), at::randn({7}, options)};
    const Tensors before = copies(w, at::kDouble);
    optimizer->step(w, gradients, learning_rate(settings, s, steps));
    const auto forms = optimizer->linear_form();
    for (size_t i = 0; i < w.size(); ++i) {
      const LinearForm& f = forms[i];
      const Tensor u = gradients[i].to(at::kDouble) + f.omega_c * before[i];
      m[i] = m[i].defined() ? f.mu * m[i] + f.N.times(u) : f.N.times(u);
      const Tensor delta = -f.D.times(m[i]) - f.E.times(u) - f.eta_omega_d * before[i];
      largest = std::max(largest, (w[i].to(at::kDouble) - before[i] - delta).abs().max().item<double>());
      if (f.has_memory()) {
        const double m_error = (optimizer->memory()[i].to(at::kDouble) - m[i]).abs().max().item<double>();
        largest = std::max(largest, settings.lr * m_error);
      }
    }
  }
  return largest;
}

class LinearFormOf : public ::testing::TestWithParam<Case> {};

TEST_P(LinearFormOf, ReproducesTheUpdateInDouble) { EXPECT_LE(largest_mismatch(GetParam().settings, at::kDouble, 20), 5e-16); }

TEST_P(LinearFormOf, ReproducesTheUpdateInFloatToItsRounding) {
  EXPECT_LE(largest_mismatch(GetParam().settings, at::kFloat, 20), 4e-7);
  EXPECT_GT(largest_mismatch(GetParam().settings, at::kFloat, 20), 0);
}

TEST_P(LinearFormOf, StateRestoredGoesOnWithTheSameBits) {
  at::manual_seed(3);
  const NamedTensors named = {{"a", at::randn({4, 3})}};
  const Tensors w = values(named), fresh = copies(w);
  const Tensors g = {at::randn({4, 3})};
  const auto one = make_optimizer(GetParam().settings, named);
  one->step(w, g, 0.1);
  one->step(w, g, 0.1);
  const NamedTensors state = one->state();
  NamedTensors kept;
  for (const auto& t : state) kept.push_back({t.name, t.tensor.clone()});
  const Tensors w2 = copies(w);
  one->step(w, g, 0.1);

  const auto two = make_optimizer(GetParam().settings, named);
  two->restore(kept);
  two->step(w2, g, 0.1);
  EXPECT_TRUE(at::equal(w[0], w2[0]));
}

INSTANTIATE_TEST_SUITE_P(All, LinearFormOf, ::testing::ValuesIn(cases()), [](const auto& info) { return info.param.name; });

TEST(Optimizer, LeavesAParameterWithoutGradientAlone) {
  for (const OptimizerSettings& s : {OptimizerSettings{.momentum = 0.9}, OptimizerSettings{.name = "adamw", .weight_decay = 0.1}}) {
    const NamedTensors named = {{"a", at::ones({3})}, {"b", at::ones({3})}};
    const Tensors w = values(named);
    const auto optimizer = make_optimizer(s, named);
    optimizer->step(w, {at::ones({3}), Tensor()}, 0.1);
    EXPECT_TRUE(at::equal(w[1], at::ones({3})));
    EXPECT_FALSE(at::equal(w[0], at::ones({3})));
    const LinearForm form = optimizer->linear_form()[1];
    EXPECT_EQ(form.mu, 1);
    EXPECT_TRUE(form.D.is_zero() && form.E.is_zero() && form.N.is_zero() && !form.has_decay());
    for (const auto& t : optimizer->state()) EXPECT_EQ(t.name.find("/b"), std::string::npos);
  }
}

TEST(Optimizer, RefusesWhatTorchRefuses) {
  const NamedTensors w = {{"a", at::ones({3})}};
  EXPECT_THROW(make_optimizer({.name = "rmsprop"}, w), InvalidInput);
  EXPECT_THROW(make_optimizer({.lr = -1}, w), InvalidInput);
  EXPECT_THROW(make_optimizer({.nesterov = true}, w), InvalidInput);
  EXPECT_THROW(make_optimizer({.momentum = 0.9, .dampening = 0.1, .nesterov = true}, w), InvalidInput);
  EXPECT_THROW(make_optimizer({.name = "adam", .beta1 = 1}, w), InvalidInput);
  EXPECT_THROW(make_optimizer({.name = "adam", .momentum = 0.9}, w), InvalidInput);
  EXPECT_THROW(make_optimizer({.schedule = "linear"}, w), InvalidInput);
}

TEST(Optimizer, RefusesStateOfAnotherModel) {
  const auto optimizer = make_optimizer({.momentum = 0.9}, {{"a", at::ones({3})}});
  EXPECT_THROW(optimizer->restore({{"momentum_buffer/b", at::ones({3})}}), InvalidInput);
  EXPECT_THROW(optimizer->restore({{"momentum_buffer/a", at::ones({4})}}), InvalidInput);
  EXPECT_THROW(optimizer->restore({{"exp_avg/a", at::ones({3})}}), InvalidInput);
}

TEST(Schedule, CosineFallsFromLrToZero) {
  const OptimizerSettings s{.lr = 0.5, .schedule = "cosine"};
  EXPECT_EQ(learning_rate(s, 0, 100), 0.5);
  EXPECT_NEAR(learning_rate(s, 50, 100), 0.25, 1e-15);
  EXPECT_NEAR(learning_rate(s, 100, 100), 0, 1e-15);
}

}  // namespace
}  // namespace pathkernel
