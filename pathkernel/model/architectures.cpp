#include <pathkernel/core/error.h>
#include <pathkernel/core/parse_number.h>
#include <pathkernel/model/architectures.h>
#include <pathkernel/model/lenet.h>
#include <pathkernel/model/mlp.h>
#include <pathkernel/model/resnet.h>

#include <ATen/core/grad_mode.h>
#include <c10/util/Exception.h>
#include <fmt/format.h>


namespace pathkernel {
namespace {

/// "mlp:784-128-10" → {784, 128, 10}
/// @param needed  what the widths are, e.g. "two widths (inputs and outputs)"   @param example  a name to follow
std::vector<int64_t> parse_widths(const std::string& name, size_t least, const char* needed, const char* example) {
  const std::string text = name.substr(name.find(':') + 1);
  std::vector<int64_t> widths;
  for (size_t begin = 0; begin <= text.size();) {
    const size_t end = std::min(text.find('-', begin), text.size());
    const auto width = parse_number<int64_t>(std::string_view(text).substr(begin, end - begin));
    if (!width || *width < 1)
      throw InvalidInput(fmt::format("model \"{}\": \"{}\" is no layer width; write positive whole numbers, e.g. {}",
                                     name, text.substr(begin, end - begin), example));
    widths.push_back(*width);
    begin = end + 1;
  }
  if (widths.size() < least) throw InvalidInput(fmt::format("model \"{}\": {}, e.g. {}", name, needed, example));
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
  if (name.starts_with("mlp:")) {
    return std::make_unique<Mlp>(parse_widths(name, 2, "an mlp needs at least two widths (inputs and outputs)", "mlp:784-128-10"), phi, seed, dtype);
  }
  if (name.starts_with("resnet:")) {
    const char* needed = "a resnet needs at least three widths (input channels, one for each stage, outputs)";
    return std::make_unique<ResNet>(parse_widths(name, 3, needed, "resnet:1-8-16-10"), phi, seed, dtype);
  }
  throw InvalidInput(fmt::format("unknown model \"{}\": use lenet; mlp: and the widths of its layers, e.g. mlp:784-128-10; "
                                 "or resnet: and input channels, widths of its stages, outputs, e.g. resnet:1-8-16-10", name));
}

std::unique_ptr<Model> make_model(const std::string& specification, at::ScalarType dtype) {
  const size_t space = specification.find(' ');
  if (space == std::string::npos)
    throw InvalidInput(fmt::format("model specification \"{}\": expected a name and an activation, e.g. \"lenet relu\"", specification));
  return make_model(specification.substr(0, space), specification.substr(space + 1), 0, dtype);
}

void check_fits(Model& model, const Tensor& inputs, int64_t outputs, const std::string& reason) {
  const at::NoGradGuard no_grad;
  const NamedTensors parameters = model.parameters();
  Tensor example = inputs.narrow(0, 0, 1);
  if (!parameters.empty()) example = example.to(parameters[0].tensor.options());
  const Tensor output = output_of(model, example);
  const int64_t given = output.numel();
  if (given != outputs)
    throw InvalidInput(fmt::format("{}: the last layer gives {} number{} per example, but the data need {}{}",
                                   model.specification().empty() ? "the model" : model.specification(), given, given == 1 ? "" : "s", outputs,
                                   reason.empty() ? "" : ": " + reason));
}

}  // namespace pathkernel
