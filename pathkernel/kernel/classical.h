#pragma once

#include <pathkernel/kernel/kernel.h>

#include <vector>

namespace pathkernel {

/// The kernels of the textbooks, on inputs flattened to [n, d]. ℓ is one length-scale [], or one per dimension [d] (automatic relevance
/// determination). r = ‖(x − x')/ℓ‖, from the differences themselves: no cancellation where x is close to x'. Cost n·m·d.
/// Formulas and names of arguments are scikit-learn's. @throws InvalidInput for values out of range.

/// ℓ = 1
Tensor unit_lengthscale();

KernelPtr constant_kernel(double value);                                                  ///< value
KernelPtr linear_kernel(const Tensor& lengthscale = unit_lengthscale());                  ///< Σ_k x_k x'_k/ℓ_k²
KernelPtr polynomial_kernel(int64_t degree = 3, double gamma = 1, double coef0 = 1);      ///< (γ⟨x, x'⟩ + c₀)^degree
KernelPtr rbf_kernel(const Tensor& lengthscale = unit_lengthscale());                     ///< exp(−r²/2)
/// exp(−r); with norm 1, r = Σ_k |x_k − x'_k|/ℓ_k as in scikit-learn's laplacian_kernel. Norm 2 is Matérn ½ (theory 7).
KernelPtr laplace_kernel(const Tensor& lengthscale = unit_lengthscale(), int64_t norm = 2);
/// ν = ½: e^{−r};  3/2: (1 + √3r)e^{−√3r};  5/2: (1 + √5r + 5r²/3)e^{−√5r}
KernelPtr matern_kernel(double nu = 1.5, const Tensor& lengthscale = unit_lengthscale());
KernelPtr rational_quadratic_kernel(const Tensor& lengthscale = unit_lengthscale(), double alpha = 1);  ///< (1 + r²/2α)^{−α}
/// exp(−2 Σ_k sin²(π(x_k − x'_k)/p_k)/ℓ_k²): a product over the dimensions, positive semi-definite for any d. scikit-learn's for d = 1.
KernelPtr periodic_kernel(const Tensor& lengthscale = unit_lengthscale(), const Tensor& period = unit_lengthscale());
KernelPtr cosine_kernel();                                                                ///< ⟨x, x'⟩/‖x‖‖x'‖; 0 where x = 0

/// Kernels made of kernels. Their hyper-parameters are those of the parts, named "0.lengthscale", "1.lengthscale", …
KernelPtr sum_of(std::vector<KernelPtr> terms);
KernelPtr product_of(std::vector<KernelPtr> factors);
/// scale·kernel, with the kernel's own names and "scale".
KernelPtr scaled(double scale, KernelPtr kernel);

}  // namespace pathkernel
