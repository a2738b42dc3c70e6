#pragma once

#include <torch/csrc/utils/pybind.h>

#include <memory>
#include <utility>

namespace pathkernel::python {

/// A Python object that C++ holds where no thread need hold the interpreter's lock: it is let go of under the lock.
class PythonObject {
 public:
  PythonObject() = default;
  PythonObject(pybind11::object object)
      : object_(new pybind11::object(std::move(object)), [](pybind11::object* o) {
          const pybind11::gil_scoped_acquire gil;
          delete o;
        }) {}

  /// Under the lock only.
  const pybind11::object& operator*() const { return *object_; }
  pybind11::object attr(const char* name) const { return object_->attr(name); }
  explicit operator bool() const { return object_ != nullptr; }

 private:
  std::shared_ptr<pybind11::object> object_;
};

/// Calls a Python function. An error the tape threw comes back from torch as RuntimeError; here it is InvalidInput again.
pybind11::object call(const pybind11::object& function, const pybind11::tuple& arguments);

}  // namespace pathkernel::python
