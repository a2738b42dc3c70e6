#include <torch/csrc/utils/pybind.h>

#include <pathkernel/core/error.h>

namespace pathkernel::python {
void init_tangent(pybind11::module_& m);
}

PYBIND11_MODULE(_pathkernel, m) {
  m.doc() = "Pathkernel's engine on live Python modules";
  pybind11::register_exception<pathkernel::InvalidInput>(m, "InvalidInput", PyExc_ValueError);
  pathkernel::python::init_tangent(m);
}
