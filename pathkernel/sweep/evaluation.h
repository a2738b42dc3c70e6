#pragma once

#include <pathkernel/core/tensors.h>
#include <pathkernel/model/model.h>

namespace pathkernel {

/// Detached, floating point ones in the evaluation precision.
inline Tensors in(at::ScalarType dtype, const Tensors& tensors) {
  Tensors out;
  for (const Tensor& t : tensors) out.push_back(at::isFloatingType(t.scalar_type()) ? t.detach().to(dtype) : t.detach());
  return out;
}

/// Rows first … first+count−1 of each.
inline Tensors rows(const Tensors& tensors, int64_t first, int64_t count) {
  Tensors out;
  for (const Tensor& t : tensors) out.push_back(t.narrow(0, first, count));
  return out;
}

/// A network that queries are asked of: weights and buffers in the evaluation precision.
struct AskedNetwork {
  Tensors weights, buffers;
};

/// What it gives in eval mode, without a graph. The model stays bound to it.
Tensors outputs_of(Model& model, const AskedNetwork& network, const Tensors& inputs);

}  // namespace pathkernel
