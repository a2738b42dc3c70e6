#pragma once

#include <pathkernel/core/rows.h>
#include <pathkernel/core/tensors.h>
#include <pathkernel/model/model.h>

namespace pathkernel {

/// Detached, floating point ones in the evaluation precision.
inline Tensors in(at::ScalarType dtype, const Tensors& tensors) {
  Tensors out;
  for (const Tensor& t : tensors) out.push_back(at::isFloatingType(t.scalar_type()) ? t.detach().to(dtype) : t.detach());
  return out;
}

/// A network that queries are asked of: weights and buffers in the evaluation precision.
struct AskedNetwork {
  Tensors weights, buffers;
};

/// What it gives in eval mode, without a graph. The model stays bound to it.
Tensors outputs_of(Model& model, const AskedNetwork& network, const Tensors& inputs);

}  // namespace pathkernel
