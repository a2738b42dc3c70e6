// Muon: its linear form reproduces the update it made, and S is what the iteration does to n's singular values.
#include <pathkernel/core/error.h>
#include <pathkernel/train/optimizer.h>

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <scratch.h>

namespace pathkernel {
namespace {

OptimizerSettings muon(bool nesterov = true, const std::string& adjust_lr = "original") {
  OptimizerSettings s = default_settings("muon");
  s.lr = 0.02;
  s.nesterov = nesterov;
  s.weight_decay = 0.1;
  s.newton_schulz.adjust_lr = adjust_lr;
  return s;
}

NamedTensors matrices(at::ScalarType dtype) {
  const auto options = at::TensorOptions().dtype(dtype);
  return {{"wide", at::randn({5, 7}, options)}, {"tall", at::randn({9, 4}, options)}, {"square", at::randn({6, 6}, options)}};
}

struct Mismatch { double whole = 0, without_what_is_beyond = 0; };

/// Largest |Δ_FLF − Δ| over 12 steps, with m from the recurrence itself.
Mismatch largest_mismatch(const OptimizerSettings& settings, at::ScalarType dtype) {
  at::manual_seed(7);
  const NamedTensors named = matrices(dtype);
  const Tensors w = values(named);
  const auto optimizer = make_optimizer(settings, named);
  Tensors m(w.size());
  Mismatch largest;
  for (int64_t s = 0; s < 12; ++s) {
    Tensors gradients;
    for (const Tensor& t : w) gradients.push_back(at::randn_like(t));
    const Tensors before = copies(w, at::kDouble);
    optimizer->step(w, gradients, settings.lr);
    const auto forms = optimizer->linear_form();
    for (size_t i = 0; i < w.size(); ++i) {
      const LinearForm& f = forms[i];
      EXPECT_EQ(f.S.S.size(0), std::min(w[i].size(0), w[i].size(1)));
      const Tensor u = gradients[i].to(at::kDouble).reshape(-1), w0 = before[i].reshape(-1);
      m[i] = m[i].defined() ? f.mu * m[i] + f.N.times(u) : f.N.times(u);
      const Tensor delta = -f.S.times(f.D.times(m[i]) + f.E.times(u)) - f.eta_omega_d * w0;
      const Tensor off = w[i].to(at::kDouble).reshape(-1) - w0 - delta;
      largest.whole = std::max(largest.whole, (off + f.beyond).abs().max().item<double>());
      largest.without_what_is_beyond = std::max(largest.without_what_is_beyond, off.abs().max().item<double>());
    }
  }
  return largest;
}

TEST(Muon, FormReproducesTheUpdate) {
  for (const bool nesterov : {true, false}) {
    for (const std::string adjust : {"original", "match_rms_adamw"}) {
      SCOPED_TRACE(adjust + (nesterov ? ", Nesterov" : ""));
      const Mismatch exact = largest_mismatch(muon(nesterov, adjust), at::kDouble), rounded = largest_mismatch(muon(nesterov, adjust), at::kFloat);
      EXPECT_LE(exact.whole, 1e-14);
      EXPECT_LE(rounded.whole, 2e-6);
      EXPECT_GT(exact.without_what_is_beyond, 1e-5);  // what bfloat16 did
      EXPECT_LE(exact.without_what_is_beyond, 5e-3);
    }
  }
}

// n = U diag(σ) Vᵀ with singular values of a kind: O has the same U and V, and p(σ/‖n‖) for σ.
TEST(Muon, TheMatrixTurnsSingularValuesIntoWhatTheIterationMakesOfThem) {
  at::manual_seed(3);
  const auto [U, sigma, Vt] = at::linalg_svd(at::randn({9, 4}, at::kDouble), /*full_matrices=*/false);
  const Tensor n = at::matmul(U * sigma, Vt);
  OptimizerSettings settings = muon(/*nesterov=*/false);
  settings.momentum = 0;
  const NamedTensors named = {{"w", at::zeros({9, 4}, at::kDouble)}};
  const auto optimizer = make_optimizer(settings, named);
  optimizer->step(values(named), {n}, 1);
  const LinearForm form = optimizer->linear_form()[0];
  Tensor x = sigma / sigma.norm();
  for (int k = 0; k < 5; ++k) x = 3.4445 * x - 4.7750 * x.pow(3) + 2.0315 * x.pow(5);
  EXPECT_LE((form.S.times(n.reshape(-1)).view({9, 4}) - at::matmul(U * x, Vt)).abs().max().item<double>(), 1e-13);
  EXPECT_LE((form.S.S - form.S.S.t()).abs().max().item<double>(), 1e-12);
  EXPECT_TRUE(form.S.from_right);
}

TEST(Muon, RefusesWhatItCannotTake) {
  EXPECT_REFUSED(InvalidInput, "parameter 'b' is float32 [7]", make_optimizer(muon(), {{"a", at::ones({5, 7})}, {"b", at::ones({7})}}));
  EXPECT_REFUSED(InvalidInput, "original or match_rms_adamw, but got none", make_optimizer(muon(true, "none"), {{"a", at::ones({5, 7})}}));
}

}  // namespace
}  // namespace pathkernel
