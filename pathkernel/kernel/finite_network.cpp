#include <pathkernel/core/error.h>
#include <pathkernel/kernel/network.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

namespace pathkernel {
namespace {

class FiniteNetwork : public Model {
 public:
  FiniteNetwork(const Network& network, std::vector<int64_t> example, NamedTensors parameters)
      : network_(network), example_(std::move(example)), parameters_(std::move(parameters)) {}

  NamedTensors parameters() const override { return parameters_; }
  NamedTensors buffers() const override { return {}; }
  Tensors forward(const Tensors& inputs, Mode) override {
    const Tensor& x = inputs.at(0);
    if (x.dim() < 1 || x.sizes().slice(1) != at::IntArrayRef(example_))
      throw InvalidInput(fmt::format("network \"{}\": made for examples of {} numbers, but the inputs are {}", network_.specification(),
                                     fmt::join(example_, "x"), describe(x)));
    stax::ParameterReader reader(parameters_);
    Tensors signals = {x};
    for (const stax::LayerPtr& layer : network_.layers()) signals = layer->forward(std::move(signals), reader);
    return signals;
  }

 private:
  Network network_;
  std::vector<int64_t> example_;
  NamedTensors parameters_;
};

}  // namespace

std::unique_ptr<Model> finite_network(const Network& network, const std::vector<int64_t>& example, const FiniteOptions& options) {
  if (example.empty()) throw InvalidInput("finite_network: give the sizes of one example, [C] or [C, positions...]");
  stax::ParameterDraw draw(options.seed, options.dtype);
  std::vector<stax::Shape> shapes = {example};
  const auto& layers = network.layers();
  for (size_t l = 0; l < layers.size(); ++l) {
    draw.layer = std::to_string(l);
    draw.width = l + 1 == layers.size() ? options.outputs : options.width;
    shapes = layers[l]->draw(shapes, draw);
  }
  return std::make_unique<FiniteNetwork>(network, example, std::move(draw.parameters));
}

}  // namespace pathkernel
