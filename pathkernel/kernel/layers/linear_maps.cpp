// Identity and multiplication by a number.

#include <pathkernel/kernel/layers/layers.h>
#include <pathkernel/kernel/specification.h>

namespace pathkernel::stax {
namespace {

class Identity : public SingleLayer {
 public:
  std::string specification() const override { return "identity"; }

 protected:
  Need need(const Need& of_output) const override { return of_output; }
  void propagate(KernelState&, uint64_t) const override {}
  Shape draw(const Shape& input, ParameterDraw&) const override { return input; }
  Tensor forward(const Tensor& x, ParameterReader&) const override { return x; }
};

class Scale : public SingleLayer {
 public:
  explicit Scale(double scale) : parameters_("layer scale") { parameters_.add("scale", scale, Range::any); }
  std::string specification() const override { return "scale:" + print_numbers(parameters_["scale"]); }
  std::vector<Hyperparameter> hyperparameters() const override { return parameters_.list(); }
  bool assign(const std::string& name, const Tensor& value) override { return parameters_.set(name, value); }

 protected:
  Need need(const Need& of_output) const override { return of_output; }
  void propagate(KernelState& state, uint64_t) const override {
    const Tensor square = parameters_["scale"].square();
    state.map([&](const Tensor& t, size_t, bool) { return t * square; });
  }
  Shape draw(const Shape& input, ParameterDraw&) const override { return input; }
  Tensor forward(const Tensor& x, ParameterReader&) const override { return x * parameters_["scale"].item<double>(); }

 private:
  Hyperparameters parameters_;
};

}  // namespace

LayerPtr identity() { return std::make_shared<Identity>(); }
LayerPtr scale(double scale) { return std::make_shared<Scale>(scale); }

}  // namespace pathkernel::stax
