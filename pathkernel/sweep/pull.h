#pragma once

#include <pathkernel/tangent/factors.h>
#include <pathkernel/train/linear_form.h>

namespace pathkernel {

/// y = G + q of theory 2.2 for one parameter and n queries, as the optimizer's memory and gradient take it: a factored and a dense part.
struct Pull {
  FactorList factored;
  Tensor dense;  ///< [n, W]; undefined: zero
};

/// Sᵀy of the form's matrix, y itself where it has none. Gradients that are outer products, or rows with S from the right, stay so.
Pull pull(const LinearForm& form, const FactorList& G, const Tensor& q);

}  // namespace pathkernel
