#include <pathkernel/core/error.h>
#include <pathkernel/model/architectures.h>
#include <pathkernel/model/lenet.h>
#include <pathkernel/model/mlp.h>

#include <ATen/core/grad_mode.h>
#include <c10/util/Exception.h>
#include <fmt/format.h>

#include <charconv>

namespace pathkernel {
namespace {

/// "784-128-10" → {784, 128, 10}
std::vector<int64_t> parse_widths(const std::string& name, const std::string& text) {
  std::vector<int64_t> widths;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find('-', begin), text.size());
    int64_t width = 0;
    const auto [last, error] = std::from_chars(text.data() + begin, text.data() + end, width);
    if (error != std::errc() || last != text.data() + end || width < 1)
      throw InvalidInput(fmt::format("model \"{}\": \"{}\" is no layer width; write positive whole numbers, e.g. mlp:784-128-10",
                                     name, text.substr(begin, end - begin)));
    widths.push_back(width);
    begin = end + 1;
  }
  if (widths.size() < 2)
    throw InvalidInput(fmt::format("model \"{}\": an mlp needs at least two widths (inputs and outputs), e.g. mlp:784-10", name));
  return widths;
}

/// Outputs per example, or the reason why the model does not take the example.
Tensor output_of(Model& model, const Tensor& example) {
  try {
    const Tensors outputs = model.forward({example}, Mode::eval);
    if (outputs.empty()) throw InvalidInput("the model gives no output");
    return outputs[0];
  } catch (const c10::Error& error) {
    throw InvalidInput(fmt::format("the model does not take inputs {}: {}", describe(example), error.what_without_backtrace()));
  }
}

}  // namespace

std::unique_ptr<Model> make_model(const std::string& name, const std::string& activation, uint64_t seed, at::ScalarType dtype) {
  const Activation phi = parse_activation(activation);
  if (name == "lenet") return std::make_unique<LeNet>(phi, seed, dtype);
  if (name.starts_with("mlp:")) return std::make_unique<Mlp>(parse_widths(name, name.substr(4)), phi, seed, dtype);
  throw InvalidInput(fmt::format("unknown model \"{}\": use lenet, or mlp: and the widths of its layers, e.g. mlp:784-128-10", name));
}

std::unique_ptr<Model> make_model(const std::string& specification, at::ScalarType dtype) {
  const size_t space = specification.find(' ');
  if (space == std::string::npos)
    throw InvalidInput(fmt::format("model specification \"{}\": expected a name and an activation, e.g. \"lenet relu\"", specification));
  return make_model(specification.substr(0, space), specification.substr(space + 1), 0, dtype);
}

void check_fits(Model& model, const Tensor& inputs, int64_t outputs) {
  const at::NoGradGuard no_grad;
  const NamedTensors parameters = model.parameters();
  Tensor example = inputs.narrow(0, 0, 1);
  if (!parameters.empty()) example = example.to(parameters[0].tensor.options());
  const Tensor output = output_of(model, example);
  const int64_t given = output.numel();
  if (given != outputs)
    throw InvalidInput(fmt::format("{}: the last layer gives {} numbers per example, but the data need {}",
                                   model.specification().empty() ? "the model" : model.specification(), given, outputs));
}

}  // namespace pathkernel
