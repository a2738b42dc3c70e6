#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

namespace pathkernel {

/// Activations whose Hermite coefficients have a closed form (theory 7).
enum class HermiteActivation { relu, abs, step, erf, sin, cos, exp, gelu };
/// "relu", …  @throws InvalidInput naming those there are.
HermiteActivation hermite_activation(const std::string& name);
double evaluate(HermiteActivation activation, double x);

/// a_0 … a_{n_max}, a_n = E[φ(x) h_n(x)] for x ~ N(0, 1), h_n = He_n/√n!: φ = Σ a_n h_n, and E[φ(x)φ(y)] = Σ a_n² ρⁿ for correlation ρ.
/// Closed forms by the ratios a_{n+2}/a_n, to the rounding of a double.
std::vector<double> hermite_coefficients(HermiteActivation activation, int64_t n_max);

/// The same for any φ, by Gauss–Legendre quadrature in pieces of length ½ or less.  @param breaks  where φ is not smooth: pieces end there
/// Error about 1e-14 times the norm of φ for analytic pieces.  @throws InvalidInput where φ is not finite.
std::vector<double> hermite_coefficients(const std::function<double(double)>& phi, int64_t n_max, const std::vector<double>& breaks = {0});

/// Σ a_n² ρⁿ: the dual kernel of variance 1, less the tail.
double hermite_dual(const std::vector<double>& coefficients, double rho);

}  // namespace pathkernel
