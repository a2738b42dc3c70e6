#pragma once

#include <pathkernel/train/named_number.h>
#include <pathkernel/train/objective.h>

#include <memory>

namespace pathkernel {

/// Losses of scores [n, C] and int64 class labels y [n], C ≥ 2:
///     cross-entropy        ℓ = −log p_y,  p = softmax(f)
///     label-smoothing:ε    ℓ = −(1−ε) log p_y − (ε/C) Σ_c log p_c,  0 ≤ ε < 1  (torch's cross_entropy with label_smoothing)
///     hinge                ℓ = (1/C) Σ_{c≠y} max(0, 1 − f_y + f_c)  (torch's multi_margin_loss; two classes have two scores)
/// @return null when the name is none of these.
std::unique_ptr<Objective> make_class_loss(const NamedNumber& name);

}  // namespace pathkernel
