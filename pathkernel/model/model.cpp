#include <pathkernel/core/error.h>
#include <pathkernel/model/model.h>

#include <fmt/format.h>

namespace pathkernel {
namespace {

/// A live tensor is a leaf that autograd graphs and modules refer to: it keeps its identity and takes the other's storage,
/// dtype and device.
void rebind(const NamedTensors& live, const Tensors& values, const char* what) {
  if (live.size() != values.size())
    throw InvalidInput(fmt::format("bind_{}s: {} tensors for a model with {} {}s", what, values.size(), live.size(), what));
  for (size_t i = 0; i < live.size(); ++i)
    if (live[i].tensor.sizes() != values[i].sizes())
      throw InvalidInput(fmt::format("bind_{}s: {} {} is {}, but the new values are {}", what, what, live[i].name,
                                     describe(live[i].tensor), describe(values[i])));
  for (size_t i = 0; i < live.size(); ++i) {
    Tensor tensor = live[i].tensor;
    tensor.mutable_grad() = Tensor();  // a gradient of the former dtype would not fit
    tensor.set_data(values[i].detach());
  }
}

}  // namespace

void Model::bind_parameters(const Tensors& values) { rebind(parameters(), values, "parameter"); }

void Model::bind_buffers(const Tensors& values) { rebind(buffers(), values, "buffer"); }

}  // namespace pathkernel
