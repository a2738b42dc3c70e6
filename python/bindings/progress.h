#pragma once

#include <pathkernel/core/progress.h>

#include "python_object.h"

namespace pathkernel::python {

/// A Python callable (what, done, total) as the engine's Progress. Without one, still a look at whether Ctrl-C was pressed.
inline Progress progress_from(const pybind11::object& callable) {
  PythonObject held = callable.is_none() ? PythonObject() : PythonObject(callable);
  return [held](const std::string& what, int64_t done, int64_t total) {
    const pybind11::gil_scoped_acquire gil;
    if (PyErr_CheckSignals() != 0) throw pybind11::error_already_set();
    if (held) (*held)(what, done, total);
  };
}

}  // namespace pathkernel::python
