#pragma once

#include <pathkernel/model/model.h>
#include <pathkernel/tangent/factors.h>

#include <functional>
#include <vector>

namespace pathkernel {

/// Gradients of K numbers of every example, by all parameters, in eval mode: what autograd does, kept factored. One set for each of the K.
/// @param inputs   of n examples   @param targets  further tensors whose rows are the examples'; may be undefined
/// @param values   of the model's outputs, [n, K], row i of example i alone   @param found  gets them, detached
/// Cost: a forward pass, and K backward passes that compute no parameter's gradient.
/// @throws CoupledBatch where the forward pass couples the examples
std::vector<FactorSet> example_gradients(Model& model, const Tensors& inputs, const Tensor& targets, const std::function<Tensor(const Tensors&)>& values,
                                         Tensor* found = nullptr);

}  // namespace pathkernel
