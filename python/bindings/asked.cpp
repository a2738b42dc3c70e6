#include "asked.h"

#include "python_measurement.h"

namespace py = pybind11;

namespace pathkernel::python {
namespace {

template <typename T>
void read(const py::dict& values, const char* name, T& field) {
  if (values.contains(name)) field = values[name].cast<T>();
}

}  // namespace

MakeMeasurement measurement_from(const py::object& make) {
  if (make.is_none()) return {};
  return [make = PythonObject(make)]() -> std::unique_ptr<Measurement> {
    const py::gil_scoped_acquire gil;
    return std::make_unique<PythonMeasurement>((*make)());
  };
}

SweepOptions options_from(const py::dict& values) {
  SweepOptions o;
  o.rule = GradientRule::parse(values["rule"].cast<std::string>(), values["panels"].cast<int64_t>());
  o.convention = values["convention"].cast<std::string>() == "ledger" ? Convention::ledger : Convention::propagate;
  o.precision = values["precision"].cast<std::string>() == "double" ? at::kDouble : at::kFloat;
  const auto network = values["network"].cast<std::string>();
  o.network = network == "weights" ? SweepOptions::Asked::weights : network == "average" ? SweepOptions::Asked::average : SweepOptions::Asked::recorded;
  read(values, "measure", o.measure), read(values, "from", o.from), read(values, "until", o.until), read(values, "stride", o.stride);
  read(values, "memory", o.memory), read(values, "keep", o.keep), read(values, "sampled_steps", o.sampled_steps);
  read(values, "path_kernel", o.path_kernel), read(values, "statistics", o.statistics), read(values, "check", o.check), read(values, "strict", o.strict);
  o.measurement = measurement_from(values["measurement"]);
  return o;
}

Queries queries_from(const py::dict& values) {
  Queries queries;
  queries.inputs = values["inputs"].cast<Tensors>();
  if (!values["targets"].is_none()) queries.targets = values["targets"].cast<Tensor>();
  const bool labels = queries.targets.defined() && queries.targets.dim() == 1 && !queries.targets.is_floating_point();
  const auto names = values["names"].cast<std::vector<std::string>>();
  for (int64_t i = 0; i < queries.input_count(); ++i) {
    QueryInfo info;
    info.input = names[static_cast<size_t>(i)];
    info.row = i;
    info.part = "test";
    if (labels) info.target = queries.targets[i].item<int64_t>();
    queries.info.push_back(std::move(info));
  }
  for (const py::handle& item : values["sets"]) {
    const auto [name, members, weights] = item.cast<std::tuple<std::string, Tensor, Tensor>>();
    queries.sets.push_back({name, members, weights});
  }
  return queries;
}

}  // namespace pathkernel::python
