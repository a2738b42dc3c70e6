#include <pathkernel/kernel/layers/affine.h>

#include <ATen/ops/matmul.h>

namespace pathkernel::stax {
namespace {

class Dense : public Affine {
 public:
  explicit Dense(const AffineOptions& options) : Affine("dense", options) {}
  std::string specification() const override { return written("dense", ""); }

 protected:
  void propagate(KernelState& state, uint64_t) const override { mix(state, static_cast<double>(state.channels)); }

  Shape draw(const Shape& input, ParameterDraw& to) const override {
    Shape output = input;
    output[0] = width_for(to);
    draw_affine({output[0], input[0]}, to);
    return output;
  }
  Tensor forward(const Tensor& x, ParameterReader& parameters) const override {
    const auto [W, b] = read_affine(parameters);
    const Tensor z = at::matmul(x.movedim(1, -1), W.t());  // channels last: one product for all positions
    return (b.defined() ? z + b : z).movedim(-1, 1);
  }
};

}  // namespace

LayerPtr dense(const AffineOptions& options) { return std::make_shared<Dense>(options); }

}  // namespace pathkernel::stax
