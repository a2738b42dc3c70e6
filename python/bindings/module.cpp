#include <torch/csrc/utils/pybind.h>

#include <pathkernel/core/error.h>

namespace pathkernel::python {
void init_tangent(pybind11::module_& m);
void init_run(pybind11::module_& m);
void init_sweep(pybind11::module_& m);
void init_audit(pybind11::module_& m);
void init_tangent_kernel(pybind11::module_& m);
void init_dynamics(pybind11::module_& m);
void init_kernels(pybind11::module_& m);
void init_machines(pybind11::module_& m);
void init_finetune(pybind11::module_& m);
void init_representer(pybind11::module_& m);
}

PYBIND11_MODULE(_engine, m) {
  m.doc() = "Pathkernel's engine; use the package pathkernel, which is made of it";
  m.attr("version") = PATHKERNEL_VERSION;
  m.attr("torch_version") = PATHKERNEL_TORCH;
  const auto invalid = pybind11::register_exception<pathkernel::InvalidInput>(m, "InvalidInput", PyExc_ValueError);
  pybind11::register_exception<pathkernel::CorruptData>(m, "CorruptData", invalid.ptr());
  pybind11::register_exception<pathkernel::ReplayMismatch>(m, "ReplayMismatch", PyExc_RuntimeError);
  pybind11::register_exception<pathkernel::InvariantViolated>(m, "InvariantViolated", PyExc_AssertionError);
  pybind11::register_exception<pathkernel::Diverged>(m, "Diverged", PyExc_ArithmeticError);
  pathkernel::python::init_tangent(m);
  pathkernel::python::init_run(m);
  pathkernel::python::init_sweep(m);
  pathkernel::python::init_audit(m);
  pathkernel::python::init_tangent_kernel(m);
  pathkernel::python::init_dynamics(m);
  pathkernel::python::init_kernels(m);
  pathkernel::python::init_machines(m);
  pathkernel::python::init_finetune(m);
  pathkernel::python::init_representer(m);
}
