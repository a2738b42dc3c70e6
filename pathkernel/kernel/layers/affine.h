#pragma once

#include <pathkernel/kernel/layers/layers.h>

namespace pathkernel::stax {

/// What dense and convolutional layers share: weights, a bias, and what they do to (K, Θ) once K and Θ have been averaged over the window.
class Affine : public SingleLayer {
 public:
  std::vector<Hyperparameter> hyperparameters() const override { return parameters_.list(); }
  bool assign(const std::string& name, const Tensor& value) override { return parameters_.set(name, value); }

 protected:
  Affine(const std::string& name, const AffineOptions& options);
  Need need(const Need& of_output) const override { return of_output; }

  /// K ← σ_b² + σ_w²K;  Θ ← K + σ_w²Θ (NTK), N·K_before + [bias] + σ_w²Θ (standard, N inputs per unit).
  void mix(KernelState& state, double inputs_per_unit) const;
  /// W and b as the parametrisation draws them, W [out, in, window...].
  void draw_affine(at::IntArrayRef weight_sizes, ParameterDraw& to) const;
  /// W and b ready to be applied: NTK's factors included. b is undefined without a bias.
  std::pair<Tensor, Tensor> read_affine(ParameterReader& parameters) const;
  int64_t width_for(const ParameterDraw& draw) const;
  /// "w=1.5,b=0.1,standard", after the width and what `before` says.
  std::string written(const std::string& name, const std::string& before) const;

  AffineOptions options_;
  Hyperparameters parameters_;
};

}  // namespace pathkernel::stax
