#pragma once

#include <pathkernel/model/model.h>

#include <cstdint>
#include <string>

namespace pathkernel {

/// A network's Taylor polynomial in its weights at w_0 (Bai & Lee 2020; Lee et al. 2019 for order 1), as a Model of the same parameters:
///     f(w_0) + J Δ (+ ½ d²f[Δ, Δ] of order 2),   Δ = w − w_0
/// for every number of every output, of any network that autograd differentiates twice (order 2: three times). Its gradient is Jᵀδ (+ d²f[Δ, ·]ᵀδ, a
/// Hessian-vector product). What does not depend on the weights — random masks, running statistics — is that of the network at w_0.
/// The parameters are the network's own live ones, bound to w_0 inside forward() and inside the backward pass only, so that an optimizer made for them
/// trains the polynomial.
/// Cost of forward(): a pass of the network, two backward passes for J Δ, two more of about twice their size for order 2; of the gradient: one backward pass, two for order 2.
class TaylorModel : public Model {
 public:
  /// @param network  must outlive this   @param w0  as its parameters   @param order  1 or 2   @throws InvalidInput for others
  TaylorModel(Model& network, Tensors w0, int64_t order);

  NamedTensors parameters() const override { return network_.parameters(); }
  NamedTensors buffers() const override { return network_.buffers(); }
  /// @throws InvalidInput where an operation of the network has no such derivative, with autograd's own words
  Tensors forward(const Tensors& inputs, Mode mode) override;
  std::string specification() const override { return network_.specification(); }

 private:
  Model& network_;
  Tensors w0_;
  int64_t order_;
};

}  // namespace pathkernel
