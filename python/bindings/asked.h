#pragma once

#include <pathkernel/sweep/sweep.h>

#include <functional>
#include <memory>

#include "python_object.h"

namespace pathkernel::python {

using MakeMeasurement = std::function<std::unique_ptr<Measurement>()>;

/// From a callable that makes what PythonMeasurement wants; None: the measurement that has the name.
MakeMeasurement measurement_from(const pybind11::object& make);

/// Options of a sweep, queries: from what pathkernel.Run has checked.
SweepOptions options_from(const pybind11::dict& values);
Queries queries_from(const pybind11::dict& values);

}  // namespace pathkernel::python
