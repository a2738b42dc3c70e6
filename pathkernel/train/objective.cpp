#include <pathkernel/core/error.h>
#include <pathkernel/train/class_losses.h>
#include <pathkernel/train/number_losses.h>
#include <pathkernel/train/objective.h>

#include <ATen/ops/full.h>
#include <fmt/format.h>

namespace pathkernel {

Tensor Objective::weights(const Tensor& losses, const Tensor& /*targets*/, int64_t passes) const {
  const double b = reduction_ == Reduction::mean ? 1.0 / static_cast<double>(passes * losses.size(0)) : 1.0;
  return at::full(losses.sizes(), b, losses.options());
}

Reduction parse_reduction(const std::string& name) {
  if (name == "mean") return Reduction::mean;
  if (name == "sum") return Reduction::sum;
  throw InvalidInput(fmt::format("unknown reduction \"{}\": use mean or sum", name));
}

std::unique_ptr<Objective> make_objective(const std::string& name, const std::string& reduction) {
  const NamedNumber parsed = parse_named_number("loss", name);
  std::unique_ptr<Objective> objective = make_class_loss(parsed);
  if (!objective) objective = make_number_loss(parsed);
  if (!objective)
    throw InvalidInput(fmt::format("unknown loss \"{}\": use cross-entropy, label-smoothing:0.1 or hinge for class labels, mse, huber:1 or "
                                   "bce-with-logits for numbers",
                                   name));
  objective->reduction_ = parse_reduction(reduction);
  return objective;
}

}  // namespace pathkernel
