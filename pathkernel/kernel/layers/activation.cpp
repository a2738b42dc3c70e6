#include <pathkernel/core/error.h>
#include <pathkernel/kernel/layers/layers.h>

#include <fmt/format.h>

namespace pathkernel::stax {
namespace {

/// K ← F(K), Θ ← Θ∘Ḟ(K), with the variances at the position of each side.
class Activation : public SingleLayer {
 public:
  explicit Activation(DualPtr phi) : phi_(std::move(phi)) {}
  std::string specification() const override { return phi_->specification(); }

 protected:
  Need need(const Need& of_output) const override { return of_output.with_own(); }

  void propagate(KernelState& state, uint64_t) const override {
    if (!state.gaussian)
      throw InvalidInput(fmt::format("layer {}: the function of a Gaussian process is known in the limit, but what arrives is none; put a dense or "
                                     "conv layer before it",
                                     specification()));
    const bool tangent = state.Theta.defined();
    if (tangent && state.pairing != Pairing::rectangular && !phi_->has_tangent_diagonal())
      throw InvalidInput(fmt::format("layer {} jumps: its tangent kernel is infinite at x = x', so that there is no symmetric Gram matrix of it; use "
                                     "nngp, two different sets of inputs, or {}:flat, whose slope is zero everywhere as autograd has it",
                                     specification(), specification()));
    const Dual dual = phi_->dual(state.variance_x(), state.variance_y(), state.K, tangent);
    if (state.own_x.defined()) state.own_x = own(state.own_x, state.space.size(), state.own_all_positions);
    if (state.own_y.defined()) state.own_y = own(state.own_y, state.space.size(), state.own_all_positions);
    state.K = dual.F;
    if (tangent) state.Theta = state.Theta * dual.F_dot;
    state.gaussian = false;
    state.independent.assign(state.independent.size(), false);
  }

  Shape draw(const Shape& input, ParameterDraw&) const override { return input; }
  Tensor forward(const Tensor& x, ParameterReader&) const override { return phi_->apply(x); }

 private:
  Tensor own(const Tensor& K, size_t space, bool all) const {
    if (!all) return phi_->dual(K, K, K, false).F;
    Tensor a = same_position(K, 1, space), b = a;
    for (size_t k = 0; k < space; ++k) a = a.unsqueeze(-1), b = b.unsqueeze(1);
    return phi_->dual(a, b, K, false).F;
  }

  DualPtr phi_;
};

}  // namespace

LayerPtr activation(DualPtr phi) { return std::make_shared<Activation>(std::move(phi)); }

}  // namespace pathkernel::stax
