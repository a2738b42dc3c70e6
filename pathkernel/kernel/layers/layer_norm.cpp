#include <pathkernel/core/error.h>
#include <pathkernel/kernel/layers/layers.h>
#include <pathkernel/kernel/specification.h>

#include <fmt/format.h>

namespace pathkernel::stax {
namespace {

/// An odd function: with the weights before it turned round it turns round as well, so that it stays independent of other branches with mean zero.
class LayerNorm : public SingleLayer {
 public:
  explicit LayerNorm(double eps) : eps_(eps) {}
  std::string specification() const override { return eps_ == 1e-12 ? "layernorm" : "layernorm:eps=" + print_number(eps_); }

 protected:
  Need need(const Need& of_output) const override { return of_output.with_own(); }

  void propagate(KernelState& state, uint64_t) const override {
    if (!state.gaussian)
      throw InvalidInput(fmt::format("layer {}: after a nonlinearity (or on the inputs) the channels' mean is not zero in the limit, and this is not "
                                     "worked out; put it after a dense or conv layer",
                                     specification()));
    const Tensor scale = ((state.variance_x() + eps_) * (state.variance_y() + eps_)).sqrt();
    state.K = state.K / scale;
    if (state.Theta.defined()) state.Theta = state.Theta / scale;
    if (state.own_x.defined()) state.own_x = own(state.own_x, state);
    if (state.own_y.defined()) state.own_y = own(state.own_y, state);
  }

  Shape draw(const Shape& input, ParameterDraw&) const override { return input; }
  Tensor forward(const Tensor& x, ParameterReader&) const override {
    const Tensor centred = x - x.mean(1, /*keepdim=*/true);
    return centred / (centred.square().mean(1, /*keepdim=*/true) + eps_).sqrt();
  }

 private:
  Tensor own(const Tensor& K, const KernelState& state) const {
    if (!state.own_all_positions) return K / (K + eps_);
    Tensor a = same_position(K, 1, state.space.size()) + eps_, b = a;
    for (size_t k = 0; k < state.space.size(); ++k) a = a.unsqueeze(-1), b = b.unsqueeze(1);
    return K / (a * b).sqrt();
  }

  double eps_;
};

}  // namespace

LayerPtr layer_norm(double eps) {
  if (!(eps >= 0)) throw InvalidInput(fmt::format("layer layernorm: eps is {}, but it must be zero or more", eps));
  return std::make_shared<LayerNorm>(eps);
}

}  // namespace pathkernel::stax
