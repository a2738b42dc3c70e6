#pragma once

#include <pathkernel/core/generators.h>
#include <pathkernel/data/dataset.h>
#include <pathkernel/model/model.h>
#include <pathkernel/tangent/pushforward.h>
#include <pathkernel/train/objective.h>

#include <memory>
#include <optional>

namespace pathkernel {

/// A pass whose examples are coupled (batch norm in training mode, contrastive losses): it has no per-example factors, but all it takes
/// to run it again.
struct CoupledPass {
  Batch batch;
  Tensors buffers;             ///< before the pass, in the run's dtype
  GeneratorStates generators;  ///< before the pass
  Tensor b;                    ///< [n] the reduction's weights
  Tensors gradient;            ///< Σ_i b_i ∇ℓ_i, flat, in the evaluation precision; undefined: the parameter took no part

  int64_t bytes() const;
};

/// What a pass pulls along λ, query by query.
struct CoupledShares {
  Tensor by_example;    ///< [n, Q] b_i ⟨λ_q, ∇ℓ_i⟩
  Tensor by_parameter;  ///< [L, Q] ⟨λ_q, Σ_i b_i ∇ℓ_i⟩ of each parameter's numbers, but for `rounding`
  Tensor rounding;      ///< [Q] ⟨λ_q, gradient⟩ − Σ_i by_example: what the batch's gradient, as backward rounded it, is off its examples'. It
                        ///< is taken from the parameter whose λ is largest, as that of a bias before batch norm under Adam is: its
                        ///< gradient is nothing but rounding
};

/// Runs coupled passes again, in the evaluation precision, and takes many queries' tangents through them (theory 2.5; 4f, way J).
class CoupledPasses {
 public:
  struct Options {
    at::ScalarType precision = at::kFloat;
    int64_t memory = PushOptions().memory;  ///< for tangents
    bool check = true;                      ///< assert that the shares sum to the batch's gradient (invariant 3), along every λ
  };
  CoupledPasses(Model& model, const Objective& objective, Options options) : model_(model), objective_(objective), options_(options) {}

  /// Fills in pass.gradient: one more forward and backward pass.  @param weights  of the step, in any dtype
  void find_gradient(const Tensors& weights, CoupledPass& pass) const;
  /// @param lambda  per parameter [Q, W]; undefined: zero.  Cost: 4·B·T·W·Q operations a layer, and one forward pass where the last
  /// call was for another pass.
  /// @throws InvariantViolated where the shares do not sum to the batch's gradient
  CoupledShares shares(const Tensors& weights, const std::shared_ptr<const CoupledPass>& pass, const Tensors& lambda);
  /// What the pass did to running statistics, example by example.
  std::vector<StatisticsUpdate> statistics(const Tensors& weights, const std::shared_ptr<const CoupledPass>& pass) { return tape(weights, pass).statistics(); }
  /// Bytes that such a pass takes on tape.
  int64_t tape_bytes(const Tensors& weights, const std::shared_ptr<const CoupledPass>& pass);

 private:
  std::unique_ptr<LossTape> run(const Tensors& weights, const CoupledPass& pass, bool with_gradient) const;
  const LossTape& tape(const Tensors& weights, const std::shared_ptr<const CoupledPass>& pass);
  /// @param largest  |λ|
  void check(const CoupledShares& shares, double largest) const;
  /// @param sizes  the largest |λ| of each parameter and query, [L, Q]
  void book_rounding(CoupledShares& shares, const Tensor& sizes) const;

  Model& model_;
  const Objective& objective_;
  Options options_;
  std::shared_ptr<const CoupledPass> taped_;  ///< the pass that `tape_` is of
  std::unique_ptr<LossTape> tape_;
};

}  // namespace pathkernel
