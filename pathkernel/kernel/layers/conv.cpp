#include <pathkernel/kernel/layers/affine.h>

#include <ATen/ops/convolution.h>

namespace pathkernel::stax {
namespace {

class Conv : public Affine {
 public:
  Conv(Window window, const AffineOptions& options) : Affine("conv", options), window_(std::move(window)) {}
  std::string specification() const override { return written("conv", window_.specification()); }

 protected:
  std::vector<int64_t> space_after(const std::vector<int64_t>& space) const override { return window_.output_space(space, specification()); }

  /// K ← σ_b² + σ_w²A(K) and so on: the mean over the window, then as a dense layer with k·C inputs per unit.
  void propagate(KernelState& state, uint64_t) const override {
    const std::vector<int64_t> space = space_after(state.space);
    const double k = window_.count();
    state.map([&](const Tensor& t, size_t lead, bool both) { return window_sum(t, window_, lead, both, /*together=*/true).div_(k); });
    state.space = space;
    mix(state, static_cast<double>(state.channels) * k);
  }

  Shape draw(const Shape& input, ParameterDraw& to) const override {
    const std::vector<int64_t> space = space_after({input.begin() + 1, input.end()});
    Shape output = {width_for(to)}, weight = {output[0], input[0]};
    output.insert(output.end(), space.begin(), space.end());
    weight.insert(weight.end(), window_.sizes.begin(), window_.sizes.end());
    draw_affine(weight, to);
    return output;
  }
  Tensor forward(const Tensor& x, ParameterReader& parameters) const override {
    const auto [W, b] = read_affine(parameters);
    Tensor padded = x;
    for (size_t d = 0; d < window_.sizes.size(); ++d) padded = window_.padded(padded, static_cast<int64_t>(d) + 2, d);
    const std::vector<int64_t> none(window_.sizes.size(), 0), ones(window_.sizes.size(), 1);
    return at::convolution(padded, W, b.defined() ? std::optional(b) : std::nullopt, window_.strides, none, ones, /*transposed=*/false, none,
                           /*groups=*/1);
  }

 private:
  Window window_;
};

}  // namespace

LayerPtr conv(Window window, const AffineOptions& options) { return std::make_shared<Conv>(std::move(window), options); }

}  // namespace pathkernel::stax
