// Kernels, the networks of layers that some of them come from, and random features.

#include <pathkernel/core/error.h>
#include <pathkernel/kernel/classical.h>
#include <pathkernel/kernel/distributed_gram.h>
#include <pathkernel/kernel/gram.h>
#include <pathkernel/kernel/network.h>
#include <pathkernel/kernel/random_features.h>
#include <pathkernel/machine/feature_ridge.h>

#include <torch/csrc/distributed/c10d/GroupRegistry.hpp>

#include "progress.h"

namespace py = pybind11;

namespace pathkernel::python {
namespace {

using stax::Layer;
using stax::LayerPtr;
using Function = std::function<Tensor(const Tensor&)>;

Tensor or_undefined(const std::optional<Tensor>& t) { return t.value_or(Tensor()); }

const char* name_of(Range range) { return range == Range::positive ? "positive" : range == Range::not_negative ? "not negative" : "any"; }

py::list listed(const std::vector<Hyperparameter>& parameters) {
  py::list all;
  for (const Hyperparameter& p : parameters) all.append(py::make_tuple(p.name, p.value, name_of(p.range)));
  return all;
}

/// An elementwise Python function of tensors, for any thread.
Function function_from(const py::function& f) {
  return [held = PythonObject(f)](const Tensor& x) {
    const py::gil_scoped_acquire gil;
    return call(*held, py::make_tuple(x)).cast<Tensor>();
  };
}

void add_kernel(py::module_& m) {
  const py::call_guard<py::gil_scoped_release> no_gil;
  const auto memory = GramOptions().memory;
  py::class_<Kernel, KernelPtr>(m, "Kernel", "a positive semi-definite function of two inputs; see pathkernel.kernels.Kernel")
      .def_property_readonly("specification", &Kernel::specification)
      .def("hyperparameters", [](const Kernel& k) { return listed(k.hyperparameters()); }, "[(name, value, range)]: the tensors that the kernel computes with")
      .def("set_hyperparameter", &Kernel::set_hyperparameter, py::arg("name"), py::arg("value"))
      .def("is_random", [](const Kernel& k) { return k.redrawn(0) != nullptr; })
      .def("gram", [](const Kernel& k, const Tensor& x, const std::optional<Tensor>& y) { return y ? k.gram(x, *y) : k.gram(x); }, py::arg("x"), py::arg("y") = py::none(), no_gil,
           "K(x, y) in one piece, differentiable")
      .def("matrix", [](const Kernel& k, const Tensor& x, const std::optional<Tensor>& y, int64_t memory, const py::object& progress) {
             const GramOptions options{.memory = memory, .progress = progress_from(progress)};
             const py::gil_scoped_release released;
             return gram_matrix(k, x, or_undefined(y), options);
           }, py::arg("x"), py::arg("y") = py::none(), py::arg("memory") = memory, py::arg("progress") = py::none(), "K(x, y) in tiles, on all threads")
      .def("matrix_of_group", [](const Kernel& k, const std::string& group, const Tensor& x, const std::optional<Tensor>& y, int64_t memory, const py::object& progress) {
             const GramOptions options{.memory = memory, .progress = progress_from(progress)};
             const py::gil_scoped_release released;
             return gram_matrix(k, x, or_undefined(y), *c10d::resolve_process_group(group), options);
           }, py::arg("group"), py::arg("x"), py::arg("y") = py::none(), py::arg("memory") = memory, py::arg("progress") = py::none(),
           "the same by all processes of a group of torch.distributed, by its name")
      .def("write", [](const Kernel& k, const std::string& path, const Tensor& x, const std::optional<Tensor>& y, int64_t memory, const py::object& progress) {
             const GramOptions options{.memory = memory, .progress = progress_from(progress)};
             const py::gil_scoped_release released;
             gram_to_npy(k, x, or_undefined(y), path, options);
           }, py::arg("path"), py::arg("x"), py::arg("y") = py::none(), py::arg("memory") = memory, py::arg("progress") = py::none(), "the same into a .npy file")
      .def("diagonal", [](const Kernel& k, const Tensor& x, int64_t memory) { return gram_diagonal(k, x, {.memory = memory}); }, py::arg("x"), py::arg("memory") = memory, no_gil)
      .def("estimate", [](const Kernel& k, const Tensor& x, const std::optional<Tensor>& y, int64_t draws, int64_t memory) {
             const GramEstimate e = gram_estimate(k, x, or_undefined(y), draws, {.memory = memory});
             return std::pair(e.mean, e.standard_error);
           }, py::arg("x"), py::arg("y") = py::none(), py::arg("draws"), py::arg("memory") = memory, no_gil, "(mean, standard error) of a kernel that is random");
  m.def("parse_kernel", &parse_kernel, py::arg("text"));
  m.def("names_own_function", &names_own_function, py::arg("specification"), "whether only this process can read the text back");
  m.def("kernel_names", &kernel_names);
  m.def("sum_of", &sum_of, py::arg("terms"));
  m.def("product_of", &product_of, py::arg("factors"));
  m.def("scaled", &scaled, py::arg("scale"), py::arg("kernel"));
}

/// After the layers: K, Theta (None without tangent), own_x and own_y where they are kept, space.
py::dict propagated(const Network& network, const Tensor& x, const std::optional<Tensor>& y, bool tangent, bool diagonal, uint64_t draw) {
  if (diagonal && y) throw InvalidInput("propagate: a diagonal is of one batch; leave out y");
  KernelState end;
  {
    const py::gil_scoped_release released;
    end = network.propagate(x, y.value_or(x), diagonal ? Pairing::paired : y ? Pairing::rectangular : Pairing::symmetric, tangent, draw);
  }
  py::dict d;
  const auto put = [&](const char* name, const Tensor& t) { d[name] = t.defined() ? py::cast(t) : py::none(); };
  put("K", end.K), put("Theta", end.Theta), put("own_x", end.own_x), put("own_y", end.own_y);
  d["space"] = end.space;
  return d;
}

/// A network of finite width with these parameters, in the order of `draw`.
Tensor applied(const Network& network, const Tensors& parameters, const Tensor& x) {
  NamedTensors named;
  for (const Tensor& p : parameters) named.push_back({"", p});
  stax::ParameterReader reader(named);
  Tensors signals = {x};
  try {
    for (const LayerPtr& layer : network.layers()) signals = layer->forward(std::move(signals), reader);
  } catch (const std::out_of_range&) {
    throw InvalidInput("network \"" + network.specification() + "\": " + std::to_string(parameters.size()) + " parameters are too few for it; give all that draw() made, in their order");
  }
  if (signals.size() != 1) throw InvalidInput("network \"" + network.specification() + "\" ends with " + std::to_string(signals.size()) + " signals; add faninsum");
  return signals[0];
}

void add_network(py::module_& m) {
  const py::call_guard<py::gil_scoped_release> no_gil;
  py::class_<Layer, LayerPtr>(m, "Layer", "one layer of a network, or several that act as one").def_property_readonly("specification", &Layer::specification);
  m.def("layers", [](const std::string& text, double W_std, std::optional<double> b_std, const std::string& parametrization) {
          if (parametrization != "ntk" && parametrization != "standard")
            throw InvalidInput("network: the parametrization is \"" + parametrization + "\", but it is ntk or standard");
          const auto asked = parametrization == "ntk" ? stax::Parametrization::ntk : stax::Parametrization::standard;
          return parse_network(text, {.W_std = W_std, .b_std = b_std, .parametrization = asked}).layers();
        }, py::arg("text"), py::arg("w_std") = 1.0, py::arg("b_std") = py::none(), py::arg("parametrization") = "ntk", "layers as docs/kernels.md writes them");
  m.def("serial", [](std::vector<LayerPtr> layers) { return stax::serial(std::move(layers)); }, py::arg("layers"));
  m.def("parallel", [](std::vector<LayerPtr> branches) { return stax::parallel(std::move(branches)); }, py::arg("branches"));
  m.def("elementwise", [](const std::string& name, const py::function& phi, const py::function& phi_dot, double tolerance, int64_t terms) {
          return stax::activation(own_function(name, function_from(phi), function_from(phi_dot), {.tolerance = tolerance, .terms = terms}));
        }, py::arg("name"), py::arg("phi"), py::arg("phi_dot"), py::arg("tolerance") = QuadratureOptions().tolerance, py::arg("terms") = QuadratureOptions().terms,
        "a function of torch tensors and its derivative, by quadrature");
  py::class_<Network, std::shared_ptr<Network>>(m, "Network", "a list of layers: its limit at infinite width, and networks of finite width")
      .def(py::init<std::vector<LayerPtr>>(), py::arg("layers"))
      .def_property_readonly("specification", &Network::specification)
      .def("is_random", &Network::is_random)
      .def("hyperparameters", [](const Network& n) { return listed(n.hyperparameters()); })
      .def("kernel", [](const Network& n, const std::string& limit) {
             if (limit != "ntk" && limit != "nngp") throw InvalidInput("network: the limit is \"" + limit + "\", but it is ntk or nngp");
             return network_kernel(n, limit == "ntk" ? Limit::ntk : Limit::nngp);
           }, py::arg("limit"))
      .def("propagate", &propagated, py::arg("x"), py::arg("y") = py::none(), py::arg("tangent") = true, py::arg("diagonal") = false, py::arg("draw") = 0,
           "the covariances after the layers in one piece, differentiable: a dict of K, Theta, own_x, own_y (tensors or None) and space (positions that are left)")
      .def("draw", [](const Network& n, const std::vector<int64_t>& example, int64_t width, int64_t outputs, uint64_t seed, bool single) {
             std::vector<std::pair<std::string, Tensor>> drawn;
             for (const NamedTensor& p : finite_network(n, example, {.width = width, .outputs = outputs, .seed = seed, .dtype = single ? at::kFloat : at::kDouble})->parameters())
               drawn.emplace_back(p.name, p.tensor);
             return drawn;
           }, py::arg("example"), py::arg("width") = 0, py::arg("outputs") = 1, py::arg("seed") = 0, py::arg("single") = false, no_gil,
           "[(name, leaf tensor)]: random parameters for examples of these sizes, channels first")
      .def("apply", &applied, py::arg("parameters"), py::arg("x"), no_gil, "outputs of the finite network with these parameters, differentiable");
}

void add_features(py::module_& m) {
  const py::call_guard<py::gil_scoped_release> no_gil;
  py::class_<RandomFeatures>(m, "RandomFeatures")
      .def_static("fourier", &fourier_features_of, py::arg("kernel"), py::arg("inputs"), py::arg("directions"), py::arg("seed"))
      .def_static("arc_cosine", &RandomFeatures::arc_cosine, py::arg("order"), py::arg("inputs"), py::arg("directions"), py::arg("seed"))
      .def_static("gaussian", [](const LayerPtr& layer, int64_t inputs, int64_t directions, double W_std, std::optional<double> b_std, uint64_t seed) {
             const Function phi = [layer](const Tensor& u) {
               const NamedTensors none;
               stax::ParameterReader reader(none);
               return layer->forward({u}, reader).at(0);
             };
             return RandomFeatures::gaussian(by_quadrature(layer->specification(), phi, phi), inputs, directions, W_std, b_std, seed);  // takes φ from it, and no more
           }, py::arg("activation"), py::arg("inputs"), py::arg("directions"), py::arg("w_std"), py::arg("b_std"), py::arg("seed"))
      .def_property_readonly("features", &RandomFeatures::features)
      .def("__call__", &RandomFeatures::operator(), py::arg("x"), no_gil)
      .def("gram", [](const RandomFeatures& f, const Tensor& x, const std::optional<Tensor>& y) {
             const RandomFeatures::Estimate e = y ? f.gram(x, *y) : f.gram(x);
             return std::pair(e.gram, e.standard_error);
           }, py::arg("x"), py::arg("y") = py::none(), no_gil);
}

}  // namespace

void init_kernels(py::module_& m) {
  add_kernel(m);
  add_network(m);
  add_features(m);
}

}  // namespace pathkernel::python
