#pragma once

#include <pathkernel/model/model.h>

#include <memory>
#include <string>

namespace pathkernel {

/// Built-in networks by name, initialised as torch.nn initialises (Kaiming uniform) from `seed`:
///   "mlp:784-128-10"  dense layers with `activation` between them; inputs are flattened
///   "lenet"           conv 6@5x5 pad 2, act, max-pool 2, conv 16@5x5, act, max-pool 2, dense 120, act, dense 84, act, dense 10
///                     (1 x 28 x 28 inputs)
///   "resnet:1-8-16-10" residual network with batch norm: input channels, one block per width, outputs (resnet.h); images of any size
/// @param activation  relu | tanh | gelu | silu
/// @throws InvalidInput naming the part of `name` that is not understood.
std::unique_ptr<Model> make_model(const std::string& name, const std::string& activation, uint64_t seed, at::ScalarType dtype);

/// Rebuilds from Model::specification(); weights are those of seed 0 and meant to be overwritten.
std::unique_ptr<Model> make_model(const std::string& specification, at::ScalarType dtype);

/// @param inputs  [N, ...] with N ≥ 1; the first row is tried, in eval mode
/// @throws InvalidInput when the model does not take inputs of this shape or does not give `outputs` numbers per example;
/// the message says which layer expects what.
void check_fits(Model& model, const Tensor& inputs, int64_t outputs);

}  // namespace pathkernel
