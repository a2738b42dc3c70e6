#include <pathkernel/core/error.h>
#include <pathkernel/train/objective.h>

#include <ATen/core/Reduction.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/full.h>
#include <ATen/ops/mse_loss.h>
#include <fmt/format.h>

namespace pathkernel {
namespace {

/// ℓ_i = logsumexp_c f_c(x_i) − f_{y_i}(x_i)
class CrossEntropy : public Objective {
 public:
  std::string name() const override { return "cross-entropy"; }

  Tensor losses(const Tensors& outputs, const Tensor& targets) const override {
    const Tensor& logits = outputs.at(0);
    if (logits.dim() != 2 || targets.dim() != 1 || targets.scalar_type() != at::kLong || targets.size(0) != logits.size(0))
      throw InvalidInput(fmt::format("cross-entropy: takes logits [n, classes] and int64 labels [n], but got {} and {}; for "
                                     "regression use --loss mse",
                                     describe(logits), describe(targets)));
    return at::cross_entropy_loss(logits, targets, /*weight=*/{}, at::Reduction::None);
  }
};

/// ℓ_i = (1/K) Σ_k (f_k(x_i) − y_{ik})²
class MeanSquaredError : public Objective {
 public:
  std::string name() const override { return "mse"; }

  Tensor losses(const Tensors& outputs, const Tensor& targets) const override {
    const Tensor& f = outputs.at(0);
    if (!targets.is_floating_point() || f.dim() < 1 || f.numel() != targets.numel() || f.size(0) != targets.size(0))
      throw InvalidInput(fmt::format("mse: takes outputs [n, K] and floating point targets [n, K] (or [n, 1] and [n]), but got {} "
                                     "and {}; for class labels use --loss cross-entropy",
                                     describe(f), describe(targets)));
    const Tensor squares = at::mse_loss(f, targets.view(f.sizes()), at::Reduction::None);
    return f.dim() == 1 ? squares : squares.flatten(1).mean(1);
  }
};

}  // namespace

Tensor Objective::weights(const Tensor& losses, int64_t passes) const {
  return at::full(losses.sizes(), 1.0 / static_cast<double>(passes * losses.size(0)), losses.options());
}

std::unique_ptr<Objective> make_objective(const std::string& name) {
  if (name == "cross-entropy") return std::make_unique<CrossEntropy>();
  if (name == "mse") return std::make_unique<MeanSquaredError>();
  throw InvalidInput(fmt::format("unknown loss \"{}\": use cross-entropy or mse", name));
}

}  // namespace pathkernel
