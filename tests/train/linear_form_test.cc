// Verification: the linear form an optimizer states reproduces the update it made (theory 2.1, mandatory assertion).
#include <pathkernel/core/error.h>
#include <pathkernel/train/optimizer.h>
#include <pathkernel/train/schedule.h>

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <scratch.h>

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
      {"sgdw", {.lr = 0.1, .weight_decay = 0.1, .decoupled = true}},
      {"sgdw_nesterov", {.lr = 0.03, .momentum = 0.9, .nesterov = true, .weight_decay = 0.1, .decoupled = true}},
      {"amsgrad", {.name = "adam", .lr = 0.01, .amsgrad = true, .weight_decay = 0.1}},
      {"amsgrad_decoupled", {.name = "adamw", .lr = 0.01, .amsgrad = true, .weight_decay = 0.1}},
      {"radam", {.name = "radam", .lr = 0.01, .weight_decay = 0.1}},
      {"radam_rectified", {.name = "radam", .lr = 0.01, .beta2 = 0.9, .weight_decay = 0.1, .decoupled = true}},
      {"adamax", {.name = "adamax", .lr = 0.01, .weight_decay = 0.1}},
      {"adadelta", {.name = "adadelta", .lr = 0.5, .alpha = 0.9, .weight_decay = 0.1}},
      {"nadam", {.name = "nadam", .lr = 0.01}},
      {"nadam_l2", {.name = "nadam", .lr = 0.01, .momentum_decay = 0.05, .weight_decay = 0.1}},
      {"nadam_decoupled", {.name = "nadam", .lr = 0.01, .beta1 = 0.3, .weight_decay = 0.1, .decoupled = true}},
      {"rmsprop", {.name = "rmsprop", .lr = 0.01}},
      {"rmsprop_centered", {.name = "rmsprop", .lr = 0.01, .alpha = 0.9, .centered = true, .weight_decay = 0.1}},
      {"rmsprop_momentum", {.name = "rmsprop", .lr = 0.001, .momentum = 0.9}},
      {"rmsprop_all", {.name = "rmsprop", .lr = 0.001, .momentum = 0.9, .alpha = 0.9, .centered = true, .weight_decay = 0.1}},
      {"adagrad", {.name = "adagrad", .lr = 0.1, .eps = 1e-10}},
      {"adagrad_all", {.name = "adagrad", .lr = 0.1, .eps = 1e-10, .lr_decay = 0.1, .initial_accumulator = 0.5, .weight_decay = 0.1}},
      {"lion", {.name = "lion", .lr = 0.001, .beta2 = 0.99}},
      {"lion_decay", {.name = "lion", .lr = 0.001, .beta1 = 0.6, .beta2 = 0.8, .weight_decay = 0.1}},
      {"clip_norm", {.lr = 0.1, .momentum = 0.9, .weight_decay = 0.1, .clip_norm = 2}},
      {"clip_value", {.name = "adam", .lr = 0.01, .clip_value = 0.5}},
      {"clip_both", {.name = "nadam", .lr = 0.01, .weight_decay = 0.1, .clip_norm = 4, .clip_value = 0.5}},
      {"step", {.lr = 0.1, .momentum = 0.9, .schedule = "step", .lr_step = 4, .lr_gamma = 0.5}},
      {"warmup_one_cycle", {.name = "adamw", .lr = 0.01, .weight_decay = 0.1, .schedule = "one-cycle", .warmup = 5}},
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
      const Tensor clipped = gradients[i].to(at::kDouble) * f.kappa * (f.M.defined() ? f.M : at::ones({}, at::kDouble));
      const Tensor u = clipped + f.omega_c * before[i];
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
  EXPECT_THROW(make_optimizer({.lr = -1}, w), InvalidInput);
  EXPECT_THROW(make_optimizer({.nesterov = true}, w), InvalidInput);
  EXPECT_THROW(make_optimizer({.momentum = 0.9, .dampening = 0.1, .nesterov = true}, w), InvalidInput);
  EXPECT_THROW(make_optimizer({.name = "adam", .beta1 = 1}, w), InvalidInput);
  EXPECT_THROW(make_optimizer({.name = "rmsprop", .alpha = -0.1}, w), InvalidInput);
  EXPECT_THROW(make_optimizer({.name = "rmsprop", .momentum = -0.1}, w), InvalidInput);
  EXPECT_THROW(make_optimizer({.name = "nadam", .momentum_decay = -0.1}, w), InvalidInput);
  EXPECT_THROW(make_optimizer({.name = "adagrad", .lr_decay = -0.1}, w), InvalidInput);
  EXPECT_THROW(make_optimizer({.name = "adagrad", .initial_accumulator = -0.1}, w), InvalidInput);
  EXPECT_THROW(make_optimizer({.clip_norm = -1}, w), InvalidInput);
  EXPECT_THROW(make_optimizer({.clip_value = -1}, w), InvalidInput);
  EXPECT_REFUSED(InvalidInput, "beta2 must be above 0", make_optimizer({.name = "lion", .beta2 = 0}, w));
  EXPECT_REFUSED(InvalidInput, "use one of sgd, adam, adamw, nadam, rmsprop, adagrad, radam, adamax, adadelta, lion", make_optimizer({.name = "lbfgs"}, w));
}

TEST(Optimizer, RefusesSettingsOfOthers) {
  const NamedTensors w = {{"a", at::ones({3})}};
  EXPECT_REFUSED(InvalidInput, "adam has no setting momentum; it belongs to sgd, rmsprop", make_optimizer({.name = "adam", .momentum = 0.9}, w));
  EXPECT_REFUSED(InvalidInput, "rmsprop has no setting dampening; it belongs to sgd", make_optimizer({.name = "rmsprop", .dampening = 0.9}, w));
  EXPECT_REFUSED(InvalidInput, "rmsprop has no setting nesterov", make_optimizer({.name = "rmsprop", .momentum = 0.9, .nesterov = true}, w));
  EXPECT_REFUSED(InvalidInput, "nadam has no setting amsgrad; it belongs to adam, adamw", make_optimizer({.name = "nadam", .amsgrad = true}, w));
  EXPECT_REFUSED(InvalidInput, "sgd has no setting centered; it belongs to rmsprop", make_optimizer({.centered = true}, w));
  EXPECT_REFUSED(InvalidInput, "sgd has no setting lr_decay; it belongs to adagrad", make_optimizer({.lr_decay = 0.1}, w));
  EXPECT_REFUSED(InvalidInput, "lion has no setting initial_accumulator", make_optimizer({.name = "lion", .initial_accumulator = 0.1}, w));
  EXPECT_REFUSED(InvalidInput, "adam has no setting decoupled; it belongs to sgd, nadam, radam", make_optimizer({.name = "adam", .decoupled = true}, w));
}

TEST(Optimizer, CountsTheNumbersItKeeps) {
  const auto kept = [](const OptimizerSettings& settings) {
    const NamedTensors named = {{"a", at::ones({4})}};
    const auto optimizer = make_optimizer(settings, named);
    const int64_t numbers = optimizer->numbers_per_weight();
    optimizer->step(values(named), {at::ones({4})}, 0.1);
    int64_t counted = 0;
    for (const auto& t : optimizer->state()) counted += t.tensor.dim() > 0;
    EXPECT_EQ(counted, numbers) << describe(settings);
    return numbers;
  };
  EXPECT_EQ(kept({}), 0);
  EXPECT_EQ(kept({.momentum = 0.9}), 1);
  EXPECT_EQ(kept({.name = "adam"}), 2);
  EXPECT_EQ(kept({.name = "adam", .amsgrad = true}), 3);
  EXPECT_EQ(kept({.name = "nadam"}), 2);
  EXPECT_EQ(kept({.name = "rmsprop", .momentum = 0.9, .centered = true}), 3);
  EXPECT_EQ(kept({.name = "adagrad"}), 1);
  EXPECT_EQ(kept({.name = "lion", .clip_norm = 1}), 1);
}

TEST(Optimizer, SaysItsSettingsToPeople) {
  EXPECT_EQ(describe({.lr = 0.1, .momentum = 0.9, .nesterov = true}), "sgd, lr 0.1 (constant), Nesterov momentum 0.9");
  EXPECT_EQ(describe(default_settings("adam")), "adam, lr 0.001 (constant), betas 0.9 and 0.999, eps 1e-08");
  EXPECT_EQ(describe({.name = "rmsprop", .centered = true, .weight_decay = 0.1, .clip_norm = 1, .schedule = "step", .warmup = 5, .lr_step = 30}),
            "rmsprop, lr 0.01 (5 steps of warm-up, then step: times 0.1 every 30 steps), alpha 0.99, eps 1e-08, centered, weight decay 0.1, "
            "gradients clipped to the norm 1");
}

TEST(Optimizer, RefusesStateOfAnotherModel) {
  const auto optimizer = make_optimizer({.momentum = 0.9}, {{"a", at::ones({3})}});
  EXPECT_THROW(optimizer->restore({{"momentum_buffer/b", at::ones({3})}}), InvalidInput);
  EXPECT_THROW(optimizer->restore({{"momentum_buffer/a", at::ones({4})}}), InvalidInput);
  EXPECT_THROW(optimizer->restore({{"exp_avg/a", at::ones({3})}}), InvalidInput);
}

TEST(Optimizer, RefusesAStateThatLacksAKindOfOneParameter) {
  const NamedTensors parameters = {{"a", at::ones({3})}, {"b", at::ones({3})}, {"never updated", at::ones({3})}};
  const auto optimizer = make_optimizer({.name = "adam"}, parameters);
  optimizer->step(values(parameters), {at::ones({3}), at::ones({3}), Tensor()}, 0.1);
  NamedTensors whole;
  for (const auto& t : optimizer->state()) whole.push_back({t.name, t.tensor.clone()});
  ASSERT_EQ(whole.size(), 6u);
  EXPECT_NO_THROW(optimizer->restore(whole));
  for (const NamedTensor& missing : whole) {
    NamedTensors state;
    for (const NamedTensor& t : whole)
      if (t.name != missing.name) state.push_back(t);
    const size_t slash = missing.name.find('/');
    const std::string kind = missing.name.substr(0, slash), parameter = missing.name.substr(slash + 1);
    EXPECT_REFUSED(InvalidInput, "parameter \"" + parameter + "\"", optimizer->restore(state));
    EXPECT_REFUSED(InvalidInput, "lacks \"" + kind + "\"", optimizer->restore(state));
  }
  EXPECT_EQ(optimizer->state().size(), 6u);  // a refused state changes nothing
}

}  // namespace
}  // namespace pathkernel
