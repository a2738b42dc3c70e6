#pragma once

#include <pathkernel/model/model.h>

#include <string>

namespace pathkernel {

/// Starts `model` from the weights in a safetensors file (converted to the model's dtype, copied). Tensors are matched
///   1. by name, parameters and those buffers that the file has; a leading "parameters/" or "buffers/" is left out, so that
///      a checkpoint of a recording fits; or, where no parameter's name is in the file,
///   2. by order, when there are as many tensors as the model has parameters and all shapes agree: in the file's own order,
///      else module by module ("0", "2", "10" are counted as numbers) with each weight before its bias, because the
///      `safetensors` package sorts names.
/// @throws InvalidInput naming the first tensor that does not fit.
void load_initial_weights(Model& model, const std::string& path);

}  // namespace pathkernel
