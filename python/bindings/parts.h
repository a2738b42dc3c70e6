#pragma once

#include <pathkernel/data/dataset.h>
#include <pathkernel/train/learner.h>

#include "python_model.h"

namespace pathkernel::python {

/// What a program hands over of its training: its module, loss, optimizer and data.
class Parts {
 public:
  /// @param forward, set_mode  see PythonModel
  /// @param loss       an object as PythonObjective wants it; None: the loss that the manifest names
  /// @param optimizer  an object as PythonOptimizer wants it; None: the optimizer that the manifest names
  /// @param settings   of the optimizer's first group by OptimizerSettings' names, and clipping
  /// @param data       {name, class_names, targets} and inputs or source (PythonSource)
  Parts(pybind11::object module, pybind11::object forward, pybind11::object set_mode, std::string specification, pybind11::object loss, pybind11::object optimizer,
        const pybind11::dict& settings, const pybind11::dict& data);
  Parts(const Parts&) = delete;
  Parts& operator=(const Parts&) = delete;

  PythonModel model;
  Learner learner;
  Dataset data;
  OptimizerSettings settings;
};

Dataset dataset_from(const pybind11::dict& data);

}  // namespace pathkernel::python
