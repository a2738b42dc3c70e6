#pragma once

#include <pathkernel/train/per_parameter.h>

namespace pathkernel {

struct MuonStep { Tensor n, O; double lr; };

/// Muon (Jordan et al. 2024; torch.optim.Muon): momentum, orthogonalised. For matrices w [A, B] only:
///     m ← μ m + (1−μ) g;   n = μ m + (1−μ) g (Nesterov) or m;   O = NS(n);   w ← (1 − ηω) w − η' O,   η' as NewtonSchulz::adjust_lr says
/// NS: X = n/‖n‖, then X ← (a + b XXᵀ + c (XXᵀ)²) X a few times, of nᵀ where A > B. It keeps n's singular vectors, so at the n of the step it is a
/// symmetric matrix times n, O = S n (n S where A > B), S = U diag(Π_k (a + b σ_k² + c σ_k⁴)/‖n‖) Uᵀ: held fixed, as Adam's preconditioner is.
/// torch iterates in bfloat16, whose rounding the iteration enlarges up to aᵏ-fold in directions where n is small: O is then several per
/// cent off S n. S is n's own, from float64; what bfloat16 made of it, O − S n, is computed again and stated as LinearForm::beyond.
/// State: momentum_buffer (m).
class Muon : public PerParameter<MuonStep> {
 public:
  /// @throws InvalidInput where a parameter is no matrix
  Muon(OptimizerSettings settings, const NamedTensors& parameters);

  Tensors memory() const override { return state_.or_zeros("momentum_buffer"); }

 protected:
  MuonStep update(size_t i, const Tensor& w, const Tensor& gradient, double lr) override;
  /// @param state  also has `gradient`, that of the step
  MuonStep adopted(const NamedTensors& state, double lr, bool first) override;
  /// Cost: the eigenvalues of a matrix as large as the smaller side, about 10·min(A,B)³ operations in float64.
  LinearForm form(size_t i, const MuonStep& r) const override;

 private:
  MuonStep step_of(size_t i, const Tensor& gradient, double lr) const;  ///< by the state after it
};

}  // namespace pathkernel
