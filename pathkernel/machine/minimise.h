#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

namespace pathkernel {

/// A function's value and gradient at a point.
struct ValueAndGradient {
  double value = 0;
  std::vector<double> gradient;
};

/// Nothing where the function is not defined; a step there is shortened.
using SmoothFunction = std::function<std::optional<ValueAndGradient>(const std::vector<double>&)>;

struct MinimiseOptions {
  int64_t iterations = 200;
  int64_t pairs = 10;          ///< steps that shape the quadratic model
  double gradient = 1e-6;      ///< done when no component of the projected gradient is larger
  double decrease = 1e-12;     ///< or when the value falls, or would by the slope, by less than this part of it
};

struct Minimum {
  std::vector<double> at;
  double value = 0;
  double largest_gradient = 0;  ///< of those components that may still move
  int64_t iterations = 0, evaluations = 0;
  bool converged = false;
};

/// A local minimum in a box by L-BFGS (Nocedal 1980) with projected steps: components at a bound whose gradient points outwards stay there, steps are
/// clipped to the box and halved until the value falls (Armijo).
/// @return nothing when the function is not defined at `start`
std::optional<Minimum> minimise(const SmoothFunction& f, std::vector<double> start, const std::vector<double>& lower, const std::vector<double>& upper,
                                const MinimiseOptions& options = {});

}  // namespace pathkernel
