#pragma once

#include <pathkernel/kernel/tangent_kernel.h>
#include <pathkernel/tangent/factors.h>

#include <vector>

namespace pathkernel {

/// The gradients of O outputs of n inputs by one use of a parameter: Σ_t varying_t ⊗ shared_t, in the order of the parameter's numbers.
struct OutputGradients {
  Tensor varying;             ///< [O, n, v, T]: the side that depends on the output. Uses that have it in common (a layer's weight and bias) hold one tensor
  Tensor shared;              ///< [n, s, T]: that of all outputs (a layer's input); undefined: 1, and T = 1 (a bias; what is written out)
  bool shared_right = false;  ///< whether the parameter's numbers are v·s in this order, or s·v

  int64_t terms() const { return varying.size(3); }
};

/// The uses of one parameter, whose gradients add: those with a shared side, all on the same side, or one without; none where it took no part.
struct ParameterGradients {
  int64_t numbers = 0;  ///< W
  std::vector<OutputGradients> uses;
};

/// What is found for each output (one set for each, of the same inputs), together.
/// @param parameters  how many of a set's lists are theirs; buffers' follow   @return one for each parameter
std::vector<ParameterGradients> of_all_outputs(const std::vector<FactorSet>& sets, size_t parameters);

/// Numbers that the product of two blocks of `block` inputs each holds at once for one parameter, beside the gradients.
/// @param sample  its gradients, of some inputs and outputs   @param outputs  O
double numbers_of_block(const ParameterGradients& sample, int64_t block, int64_t outputs, TangentForm form);

/// The numbers of a model's first output, [n, O].
Tensor first_output(const Tensors& outputs);

/// Jacobians of the first output of some inputs by all parameters, factored. In eval mode, at the model's present weights.
class Jacobians {
 public:
  Jacobians(Model& model, const Tensors& inputs);

  int64_t count, outputs;
  std::vector<ParameterGradients> of;  ///< by parameter
};

/// Θ of two blocks of inputs, in the form's shape: Σ over the parameters of ⟨g_io, h_jp⟩.
/// Where a use has a shared side, its Gram matrix is made once; where uses have the varying side in common, so is that one. Of a layer
/// it costs 2nm(O²·out + in) operations for the full form, 2nm(O·out + in) for the others, against 2nm·O²·out·in written out (theory 4f).
/// @param options  of the result
Tensor tangent_product(const Jacobians& g, const Jacobians& h, TangentForm form, at::TensorOptions options);

}  // namespace pathkernel
