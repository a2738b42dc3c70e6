#pragma once

#include <pathkernel/tangent/rule.h>

namespace pathkernel {

/// Logarithmic means of the softmaxes along `dim` at the two ends, L_j = (p¹_j − p⁰_j)/ln(p¹_j/p⁰_j): without their sum, the weights
/// of Δlogsumexp(x) = Σ_j (L_j/ΣL) Δx_j (Sato–Vartia; theory 3b). Equal ends give the softmax.
Tensor logarithmic_means(const Ends& x, int64_t dim);

/// ΣL along `dim`, kept; one where a whole row is masked.
Tensor total_of_means(const Tensor& means, int64_t dim);

}  // namespace pathkernel
