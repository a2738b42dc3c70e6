#pragma once

#include <pathkernel/kernel/tangent_kernel.h>
#include <pathkernel/tangent/factors.h>

#include <vector>

namespace pathkernel {

/// ⟨g_io, h_jp⟩ of one parameter, in the form's shape, between the gradients of O outputs of n and of m inputs.
/// @param g, h  one list for each output; aligned: the lists of all outputs have the same uses of the parameter
/// @return undefined where the parameter took no part
/// Where a use's one side is that of every output (a layer's input), its Gram matrix is made once: the product of sums over the sides
/// costs 2nm(O²·out + in) operations for the full form, 2nm(O·out + in) for the others, against 2nm·O²·out·in written out.
Tensor tangent_block(const std::vector<FactorList>& g, const std::vector<FactorList>& h, int64_t n, int64_t m, TangentForm form);

/// Numbers that tangent_block() holds at once, beside the factors, for blocks of `block` inputs each.  @param one  the lists of a single input
double numbers_of_block(const std::vector<FactorList>& one, int64_t block, TangentForm form);

/// The numbers of a model's first output, [n, O].
Tensor first_output(const Tensors& outputs);

/// Jacobians of the first output of some inputs by all parameters, factored: [parameter][output]. In eval mode, at the model's present weights.
class Jacobians {
 public:
  Jacobians(Model& model, const Tensors& inputs);

  int64_t count;
  std::vector<std::vector<FactorList>> of;
};

/// Θ of two blocks of inputs, in the form's shape: the sum of tangent_block() over all parameters.  @param options  of the result
Tensor tangent_product(const Jacobians& g, const Jacobians& h, TangentForm form, at::TensorOptions options);

}  // namespace pathkernel
