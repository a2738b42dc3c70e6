#include "python_optimizer.h"

#include <ATen/ops/zeros_like.h>
#include <pathkernel/core/error.h>

namespace py = pybind11;

namespace pathkernel::python {

OptimizerSettings settings_from(const py::dict& values) {
  OptimizerSettings s = default_settings(values["name"].cast<std::string>());
  const auto read = [&](const char* name, auto& field) {
    if (values.contains(name)) field = values[name].cast<std::decay_t<decltype(field)>>();
  };
  read("lr", s.lr), read("momentum", s.momentum), read("dampening", s.dampening), read("nesterov", s.nesterov);
  read("beta1", s.beta1), read("beta2", s.beta2), read("eps", s.eps), read("amsgrad", s.amsgrad), read("momentum_decay", s.momentum_decay);
  read("alpha", s.alpha), read("centered", s.centered), read("lr_decay", s.lr_decay), read("initial_accumulator", s.initial_accumulator);
  read("weight_decay", s.weight_decay), read("decoupled", s.decoupled), read("clip_norm", s.clip_norm), read("clip_value", s.clip_value);
  if (values.contains("newton_schulz")) {
    const py::dict given = values["newton_schulz"];
    s.newton_schulz = {given["a"].cast<double>(), given["b"].cast<double>(), given["c"].cast<double>(), given["steps"].cast<int64_t>(),
                       given["adjust_lr"].cast<std::string>()};
  }
  return s;
}

PythonOptimizer::PythonOptimizer(py::object optimizer, const NamedTensors& parameters, OptimizerSettings settings)
    : Optimizer(std::move(settings), {}, {}), optimizer_(std::move(optimizer)), parameters_(parameters), twins_(parameters.size()), sign_(parameters.size(), 1) {}

void PythonOptimizer::step(const Tensors& parameters, const Tensors& gradients, double) {
  const py::gil_scoped_acquire gil;
  const bool lent = optimizer_.attr("writes_into_gradients").cast<bool>();  // who watches the step still reads them
  for (size_t l = 0; l < parameters.size(); ++l) parameters[l].mutable_grad() = lent && gradients[l].defined() ? gradients[l].clone() : gradients[l];
  optimizer_.attr("step")();
  for (const Tensor& w : parameters) w.mutable_grad() = Tensor();
  read_ = false;
}

void PythonOptimizer::read_last_step() const {
  if (read_) return;
  const py::gil_scoped_acquire gil;
  const py::list steps = optimizer_.attr("last_step")();
  for (size_t l = 0; l < parameters_.size(); ++l) {
    const py::dict step = steps[l];
    const OptimizerSettings settings = settings_from(step["settings"]);
    twins_[l] = make_optimizer(settings, {parameters_[l]});
    NamedTensors state;
    for (const auto& [kind, tensor] : step["state"].cast<py::dict>()) state.push_back({kind.cast<std::string>(), tensor.cast<Tensor>()});
    twins_[l]->adopt(settings, state, settings.lr, step["updated"].cast<bool>(), step["first"].cast<bool>());
    sign_[l] = step["maximize"].cast<bool>() ? -1 : 1;
  }
  read_ = true;
}

std::vector<LinearForm> PythonOptimizer::linear_form() const {
  read_last_step();
  std::vector<LinearForm> forms;
  for (size_t l = 0; l < twins_.size(); ++l) {
    forms.push_back(twins_[l]->linear_form().front());
    forms.back().kappa *= sign_[l];
  }
  return forms;
}

Tensors PythonOptimizer::memory() const {
  read_last_step();
  Tensors all;
  bool any = false;
  for (size_t l = 0; l < twins_.size(); ++l) {
    const Tensors memory = twins_[l]->memory();
    any = any || !memory.empty();
    all.push_back(memory.empty() ? at::zeros_like(parameters_[l].tensor).detach() : memory.front());
  }
  return any ? all : Tensors();
}

NamedTensors PythonOptimizer::state() const {
  const py::gil_scoped_acquire gil;
  NamedTensors state;
  for (const py::handle& item : optimizer_.attr("state")()) {
    const auto pair = item.cast<std::pair<std::string, Tensor>>();
    state.push_back({pair.first, pair.second});
  }
  return state;
}

void PythonOptimizer::restore(const NamedTensors& state) {
  const py::gil_scoped_acquire gil;
  py::dict values;
  for (const auto& [name, tensor] : state) values[py::str(name)] = py::cast(tensor.detach().clone());
  optimizer_.attr("restore")(values);
  read_ = false;
}

int64_t PythonOptimizer::numbers_per_weight() const {
  const py::gil_scoped_acquire gil;
  return optimizer_.attr("numbers_per_weight")().cast<int64_t>();
}

std::string PythonOptimizer::groups() const {
  const py::gil_scoped_acquire gil;
  return optimizer_.attr("groups")().cast<std::string>();
}

std::vector<double> PythonOptimizer::learning_rates() const {
  const py::gil_scoped_acquire gil;
  return optimizer_.attr("learning_rates")().cast<std::vector<double>>();
}

void PythonOptimizer::use_groups(const std::string& groups) {
  const py::gil_scoped_acquire gil;
  optimizer_.attr("use_groups")(groups);
}

}  // namespace pathkernel::python
