#pragma once

#include <pathkernel/tangent/rule.h>

namespace pathkernel {

/// The operation's own vector-Jacobian product at one point, by autograd of that single operation.
/// @param point  one tensor per entry of `slots`, where the product is taken
/// @param slots  the inputs whose cotangents are wanted
/// @return one cotangent per slot (zeros where autograd gives none)
Tensors own_vjp(const Call& call, const std::vector<const Slot*>& slots, const Tensors& point, const Tensors& cotangents);

}  // namespace pathkernel
