#pragma once

#include <pathkernel/train/named_number.h>
#include <pathkernel/train/objective.h>

#include <memory>

namespace pathkernel {

/// Losses of outputs f [n, K] and floating point targets y [n, K] (or [n, 1] and [n]), each the mean over the K coordinates of
///     mse               (f−y)²   (½ is not included)
///     huber:δ           ½ e² where |e| ≤ δ, δ (|e| − ½δ) beyond,  e = f−y, δ > 0  (torch's huber_loss)
///     bce-with-logits   log(1 + e^f) − f y,  0 ≤ y ≤ 1; several labels per example, or, K = 1, int64 labels [n] of two classes
/// @return null when the name is none of these.
std::unique_ptr<Objective> make_number_loss(const NamedNumber& name);

}  // namespace pathkernel
