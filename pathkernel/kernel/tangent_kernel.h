#pragma once

#include <pathkernel/core/progress.h>
#include <pathkernel/model/model.h>

#include <cstdint>

namespace pathkernel {

/// What is kept of Θ(x, x') [O, O] for each pair of inputs.
enum class TangentForm {
  full,      ///< all of it, [n, m, O, O]
  trace,     ///< Σ_o Θ_oo, [n, m]: the kernel of all outputs together, positive semi-definite
  diagonal,  ///< Θ_oo, [n, m, O]: each output's own
};

struct TangentOptions {
  TangentForm form = TangentForm::full;
  int64_t memory = int64_t{4} << 30;  ///< bytes for the result, the gradients of two blocks of inputs and their products; the network's own activations come besides
  int64_t block = 0;                  ///< inputs of a block; 0: what fits, 256 at most
  Progress progress = {};             ///< in blocks' pairs
};

/// The empirical tangent kernel (Jacot, Gabriel & Hongler 2018; theory 1), at the model's present weights, in eval mode:
///     Θ_op(x_i, y_j) = Σ_w ∂f_o(x_i)/∂w · ∂f_p(y_j)/∂w,   o, p over the O numbers of the model's first output
/// over all parameters. Jacobians are never written out where a layer's factors do (theory 4a–e): a linear layer's part is
/// (a_i·a_j + 1)(δ_io·δ_jp), the product of two small Gram matrices.
/// @param x, y  inputs as the model takes them, [n, …], [m, …]; y empty: Θ(x, x), exactly symmetric, Θ_op(x_i, x_j) = Θ_po(x_j, x_i)
/// @return in the weights' dtype
/// Cost per pair of blocks: a forward and O backward passes of each, and the products, O² of the full form and O of the others.
/// @throws InvalidInput for no inputs, or what does not fit the memory (saying how much would); CoupledBatch where inputs are coupled
Tensor tangent_kernel(Model& model, const Tensors& x, const Tensors& y = {}, const TangentOptions& options = {});

}  // namespace pathkernel
