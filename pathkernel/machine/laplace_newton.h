#pragma once

#include <pathkernel/machine/laplace.h>

#include <algorithm>
#include <cmath>
#include <optional>

namespace pathkernel {

/// Newton's method for the mode of two classes and of many. A `Mode` has f = Ka, a, the objective, and `moved`: how far Newton's whole step to it goes, in units of the
/// largest |f| (or of 1).

/// A step along `change` of a, halved until the objective does not fall by more than rounding; nothing where no part of it is small enough.
/// @param evaluate  gives a Mode the f and the objective of its a
template <class Mode, class Evaluate>
std::optional<Mode> halved_step(const Mode& m, const Tensor& change, const Evaluate& evaluate) {
  Mode next = m;
  for (double size = 1; size > 1e-6; size /= 2) {
    next.a = m.a + size * change;
    evaluate(next);
    if (size == 1) next.moved = (next.f - m.f).abs().max().template item<double>() / std::max(1.0, next.f.abs().max().template item<double>());
    if (next.objective >= m.objective - 1e-13 * std::abs(m.objective)) return next;
  }
  return {};
}

/// From m, until a whole step is within the tolerance; not converged where no step helps, or rounding is all that is left.
/// @param linearise  completes a Mode at its f   @param step  gives the next one, or nothing   @param machine  gets iterations and converged
template <class Mode, class Linearise, class Step, class Machine>
void find_mode(Mode& m, const Linearise& linearise, const Step& step, const LaplaceOptions& options, Machine& machine) {
  linearise(m);
  while (!machine.converged && machine.iterations < options.iterations) {
    const double before = m.moved;
    std::optional<Mode> next = step(m);
    if (!next) break;
    m = *std::move(next);
    linearise(m);
    ++machine.iterations;
    machine.converged = m.moved <= options.tolerance;
    if (m.moved >= before && before < 1e-5) break;  // rounding is all that is left
  }
}

}  // namespace pathkernel
