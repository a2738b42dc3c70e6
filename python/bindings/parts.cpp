#include "parts.h"

#include <pathkernel/train/clipping.h>

#include "python_data.h"
#include "python_objective.h"
#include "python_optimizer.h"

namespace py = pybind11;

namespace pathkernel::python {

Dataset dataset_from(const py::dict& values) {
  Dataset data;
  data.name = values["name"].cast<std::string>();
  data.class_names = values["class_names"].cast<std::vector<std::string>>();
  if (!values["targets"].is_none()) data.targets = values["targets"].cast<Tensor>();
  if (!values["inputs"].is_none()) data.inputs = values["inputs"].cast<Tensor>();
  if (values.contains("source") && !values["source"].is_none()) data.source = std::make_shared<PythonSource>(values["source"]);
  return data;
}

Parts::Parts(py::object module, py::object forward, py::object set_mode, std::string specification, py::object loss, py::object optimizer, const py::dict& values,
             const py::dict& data_values)
    : model(std::move(module), std::move(forward), std::move(set_mode), std::move(specification)), learner(model), data(dataset_from(data_values)) {
  if (!loss.is_none()) learner.objective = [loss = PythonObject(loss)](const TrainingSettings&) {
    const py::gil_scoped_acquire gil;
    return std::make_unique<PythonObjective>(*loss);
  };
  if (optimizer.is_none()) return;
  settings = settings_from(values);
  learner.optimizer = [optimizer = PythonObject(optimizer), this](const TrainingSettings&) -> std::unique_ptr<Optimizer> {
    const py::gil_scoped_acquire gil;
    auto live = std::make_unique<PythonOptimizer>(*optimizer, model.parameters(), settings);
    if (settings.clip_norm == 0 && settings.clip_value == 0) return live;
    return std::make_unique<Clipped>(std::move(live));
  };
}

}  // namespace pathkernel::python
