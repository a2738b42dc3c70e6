#include <ATen/ops/arange.h>
#include <ATen/ops/ones_like.h>
#include <pathkernel/tangent/catcher.h>
#include <pathkernel/tangent/contraction.h>
#include <pathkernel/tangent/push.h>
#include <pathkernel/tangent/pushforward.h>
#include <pathkernel/tangent/reverse.h>
#include <pathkernel/tangent/rule.h>
#include <torch/csrc/autograd/autograd.h>

#include "python_model.h"

namespace py = pybind11;

namespace pathkernel::python {
namespace {

/// Per-example gradients written out, [n, *shape] per parameter.
Tensors written_out(const FactorSet& g, const NamedTensors& parameters) {
  Tensors out;
  for (size_t l = 0; l < parameters.size(); ++l) {
    const Tensor& p = parameters[l].tensor;
    std::vector<int64_t> shape = p.sizes().vec();
    shape.insert(shape.begin(), g.examples);
    out.push_back(materialise(g.parameters[l], g.examples, p.numel(), p.options().requires_grad(false)).view(shape));
  }
  return out;
}

/// One ordinary training step's backward pass with the catcher watching; `.grad` is left as autograd made it.
Tensors per_example_gradients(py::object module, const Tensors& inputs, const py::function& loss, const Tensors& extra, bool check) {
  PythonModel model(std::move(module));
  const NamedTensors parameters = model.parameters();
  Tensors examples = inputs;
  examples.insert(examples.end(), extra.begin(), extra.end());
  Catcher catcher(parameters, model.buffers(), examples);
  py::tuple arguments(1 + extra.size());
  const Tensors outputs = model.forward(inputs, Mode::train);
  arguments[0] = py::cast(outputs.front());
  for (size_t k = 0; k < extra.size(); ++k) arguments[k + 1] = py::cast(extra[k]);
  const Tensor losses = call(loss, arguments).cast<Tensor>();
  catcher.forward_done();
  py::gil_scoped_release no_gil;  // autograd's engine takes it where it needs it
  losses.sum().backward({}, /*retain_graph=*/check);
  const FactorSet g = catcher.take();
  if (check) {
    (losses * at::arange(1, losses.size(0) + 1, losses.options().requires_grad(false))).sum().backward();
    Catcher::check_owners(g, catcher.take(), parameters);
  }
  return written_out(g, parameters);
}

/// ⟨∇_w ℓ_i, λ_q⟩ [n, Q] in train mode, whatever couples the examples.
Tensor pushforward_of(py::object module, const Tensors& inputs, const py::function& loss, const Tensors& tangents, const Tensors& extra, int64_t memory) {
  PythonModel model(std::move(module));
  Tensors examples = inputs, flat;
  examples.insert(examples.end(), extra.begin(), extra.end());
  for (const Tensor& t : tangents) flat.push_back(t.flatten(1));
  const LossTape tape(model, examples, [&] {
    py::tuple arguments(1 + extra.size());
    arguments[0] = py::cast(model.forward(inputs, Mode::train).front());
    for (size_t k = 0; k < extra.size(); ++k) arguments[k + 1] = py::cast(extra[k]);
    return call(loss, arguments).cast<Tensor>();
  });
  py::gil_scoped_release no_gil;
  return tape.products(flat, {.memory = memory});
}

/// The measurement at both ends and its discrete gradient between them.
py::tuple secant(py::object module, const Tensors& at0, const Tensors& at1, const Tensors& inputs, const py::function& measure) {
  PythonModel model(std::move(module));
  const Tensors before = copies(values(model.parameters()));
  Tape tapes[2];
  Tensor measured[2];
  ValueId ids[2];
  for (int end = 0; end < 2; ++end) {
    model.bind_parameters(copies(end == 0 ? at0 : at1));
    Capture capture(tapes[end], Side::query, model.parameters(), model.buffers(), inputs);
    measured[end] = call(measure, py::make_tuple(model.forward(inputs, Mode::eval).front())).cast<Tensor>();
    ids[end] = tapes[end].find(measured[end]);
  }
  Reverse reverse(tapes[0], tapes[1]);
  reverse.seed(ids[0], at::ones_like(measured[0]));
  CorrectionShares shares;
  const NamedTensors parameters = model.parameters();
  const Tensors written = [&] {
    py::gil_scoped_release no_gil;
    return written_out(reverse.run(&shares), parameters);
  }();
  model.bind_parameters(before);
  py::dict corrections;
  for (const auto& [name, share] : shares) corrections[py::str(name)] = share.correction / std::max(share.product, 1e-300);
  return py::make_tuple(measured[0].detach(), measured[1].detach(), written, corrections);
}

/// Every operation that has a rule: (its name, the file of rules it stands in, whether it has a push too).
py::list operations() {
  const std::pair<const char*, RuleTable> tables[] = {{"linear", linear_rules()},   {"bilinear", bilinear_rules()},           {"pointwise", pointwise_rules()},
                                                      {"softmax", softmax_rules()}, {"normalisation", normalisation_rules()}, {"selection", selection_rules()},
                                                      {"loss", loss_rules()}};
  py::list all;
  for (const auto& [kind, table] : tables)
    for (const auto& [name, rule] : table) all.append(py::make_tuple(name, kind, find_push(name) != nullptr));
  return all;
}

const char* name_of(Factor::Kind kind) { return kind == Factor::Kind::outer ? "outer" : kind == Factor::Kind::rows ? "rows" : "dense"; }

/// What the tape makes of a module in eval mode: the operations it follows, and the kinds of factors of each parameter's per-example gradients.
py::tuple operations_of(py::object module, const Tensors& inputs) {
  PythonModel model(std::move(module));
  const NamedTensors parameters = model.parameters(), buffers = model.buffers();
  py::list followed;
  Tape tape;
  Tensor output;
  {
    const Capture capture(tape, Side::query, parameters, buffers, inputs);
    output = model.forward(inputs, Mode::eval).front();
  }
  {
    const py::gil_scoped_release no_gil;  // the fallback runs autograd
    Reverse reverse(tape, tape);
    reverse.seed(tape.find(output), at::ones_like(output));
    reverse.run();
  }
  for (const Node& node : tape.nodes) followed.append(node.name);
  Catcher catcher(parameters, buffers, inputs);
  const Tensor sum = model.forward(inputs, Mode::eval).front().sum();
  catcher.forward_done();
  const FactorSet g = [&] {
    const py::gil_scoped_release no_gil;
    catcher.backward(sum);
    return catcher.take();
  }();
  py::dict factors;
  for (size_t l = 0; l < parameters.size(); ++l) {
    py::list kinds;
    for (const Factor& f : g.parameters[l]) kinds.append(name_of(f.kind));
    factors[py::str(parameters[l].name)] = kinds;
  }
  return py::make_tuple(followed, factors);
}

}  // namespace

void init_tangent(py::module_& m) {
  m.def("operations", &operations, "[(operation, kind of its rule, has a push)] for every operation that has a rule");
  m.def("operations_of", &operations_of, py::arg("module"), py::arg("inputs"), "(operations that the tape follows, {parameter: kinds of factors of its gradients})");
  m.def("per_example_gradients", &per_example_gradients, py::arg("module"), py::arg("inputs"), py::arg("loss"), py::arg("extra") = Tensors{}, py::arg("check") = true,
        "loss(outputs, *extra) -> [n]; per-example gradients [n, *shape] of every parameter, caught in an ordinary backward pass");
  m.def("pushforward", &pushforward_of, py::arg("module"), py::arg("inputs"), py::arg("loss"), py::arg("tangents"), py::arg("extra") = Tensors{}, py::arg("memory") = PushOptions().memory,
        "loss(outputs, *extra) -> [n]; tangents [Q, *shape] of every parameter; their products [n, Q] with every example's gradient, the batch as its context");
  m.def("secant", &secant, py::arg("module"), py::arg("at0"), py::arg("at1"), py::arg("inputs"), py::arg("measure"),
        "measure(outputs) -> [n]; (f0, f1, per-example discrete gradients [n, *shape], correction shares by operation)");
}

}  // namespace pathkernel::python
