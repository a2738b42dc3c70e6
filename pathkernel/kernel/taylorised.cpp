#include <pathkernel/kernel/taylorised.h>

#include <pathkernel/core/error.h>
#include <pathkernel/kernel/moments.h>
#include <pathkernel/kernel/tangent_blocks.h>
#include <pathkernel/kernel/taylor_model.h>
#include <pathkernel/model/own_weights.h>
#include <pathkernel/record/replay.h>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full_like.h>
#include <ATen/ops/stack.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>

namespace pathkernel {
namespace {

/// A network at one moment: outputs and flat weights, float64.
struct Look {
  Tensor outputs, weights;
  double loss = 0;
};

Tensor flat(const NamedTensors& parameters) {
  Tensors parts;
  for (const auto& [name, p] : parameters) parts.push_back(p.detach().reshape(-1).to(at::kDouble));
  return at::cat(parts).cpu();
}

/// Looks at a network, recorded or polynomial, wherever a replay of the run comes to.
class Walk {
 public:
  Walk(const Recording& recording, const Learner& learner, const Dataset& data, const Tensors& inputs, const Tensor& targets, Progress progress)
      : learner_(learner), targets_(targets), progress_(std::move(progress)), replay_(recording, learner, data),
        objective_(learner.objective ? learner.objective(recording.manifest()) : make_objective(recording.manifest().objective, recording.manifest().reduction)),
        reduction_(recording.manifest().reduction) {
    replay_.restore(0);
    const at::ScalarType dtype = learner.model.parameters().front().tensor.scalar_type();
    for (const Tensor& t : inputs) inputs_.push_back(at::isFloatingType(t.scalar_type()) ? t.detach().to(dtype) : t.detach());
    if (at::isFloatingType(targets.scalar_type())) targets_ = targets.to(dtype);
  }

  /// @param diverged  gets the first step after which the loss or a weight is not finite; nothing is looked at from there
  std::vector<Look> run(const std::vector<int64_t>& steps, const std::string& what, int64_t* diverged) {
    std::vector<Look> looks;
    for (const int64_t wanted : steps) {
      while (replay_.position() < wanted) {
        const int64_t s = replay_.position();
        replay_.advance();
        if (diverged != nullptr && !flat(learner_.model.parameters()).isfinite().all().item<bool>()) {
          *diverged = s;
          return looks;
        }
        if (progress_) progress_(what, s + 1, steps.back());
      }
      looks.push_back(look());
      if (diverged != nullptr && !std::isfinite(looks.back().loss)) {
        *diverged = wanted - 1;
        looks.pop_back();
        return looks;
      }
    }
    return looks;
  }

 private:
  Look look() {
    const at::AutoGradMode off(false);
    const Tensors outputs = learner_.model.forward(inputs_, Mode::eval);
    return {first_output(outputs).to(at::kDouble).cpu(), flat(learner_.model.parameters()), mean_loss(*objective_, reduction_, outputs, targets_, "taylorised")};
  }

  const Learner& learner_;
  Tensors inputs_;
  Tensor targets_;
  Progress progress_;
  Replay replay_;
  std::unique_ptr<Objective> objective_;
  std::string reduction_;
};

double share(const Tensor& a, const Tensor& b) { return (a == b).to(at::kDouble).mean().item<double>(); }

/// ‖a − b‖/‖b − from‖; 0 where nothing moved.
double relative(const Tensor& a, const Tensor& b, const Tensor& from) {
  const double moved = (b - from).norm().item<double>();
  return moved > 0 ? (a - b).norm().item<double>() / moved : 0;
}

constexpr double none = std::numeric_limits<double>::quiet_NaN();

TaylorMoment compared(int64_t step, const Look& real, const Look* taylor, const Look& first, const Tensor& targets) {
  TaylorMoment m{.step = step, .loss = real.loss, .taylor_loss = taylor ? taylor->loss : none};
  if (!taylor) m.distance = m.weight_distance = none;
  else m.distance = relative(taylor->outputs, real.outputs, first.outputs), m.weight_distance = relative(taylor->weights, real.weights, first.weights);
  if (at::isFloatingType(targets.scalar_type()) || targets.dim() != 1 || real.outputs.size(1) < 2) return m;
  const Tensor labels = targets.cpu(), classes = real.outputs.argmax(1);
  m.accuracy = share(classes, labels);
  if (taylor) m.taylor_accuracy = share(taylor->outputs.argmax(1), labels), m.agreement = share(taylor->outputs.argmax(1), classes);
  return m;
}

}  // namespace

Taylorised taylorised(const Recording& recording, const Learner& learner, const Dataset& data, const Tensors& inputs, const Tensor& targets, const TaylorisedOptions& options) {
  if (inputs.empty() || inputs.front().size(0) == 0 || !targets.defined()) throw InvalidInput("taylorised: inputs to compare on are needed, with their targets");
  require_finite(inputs, "taylorised", "the inputs to compare on");
  require_finite({targets}, "taylorised", "their targets");
  const std::vector<int64_t> steps = moments_of(recording, options.steps, options.count, "taylorised");
  const OwnWeights own(learner.model);
  const std::vector<Look> real = Walk(recording, learner, data, inputs, targets, options.progress).run(steps, "the network", nullptr);

  Replay(recording, learner, data).restore(0);
  const Tensors w0 = copies(values(learner.model.parameters()));
  TaylorModel polynomial(learner.model, w0, options.order);
  Learner taylor(polynomial);
  taylor.objective = learner.objective, taylor.optimizer = learner.optimizer;
  Taylorised found;
  found.order = options.order;
  const std::vector<Look> looks = Walk(recording, taylor, data, inputs, targets, options.progress).run(steps, "its polynomial", &found.diverged);

  Tensors outputs, taylor_outputs;
  for (size_t k = 0; k < steps.size(); ++k) {
    const Look* other = k < looks.size() ? &looks[k] : nullptr;
    found.moments.push_back(compared(steps[k], real[k], other, real.front(), targets));
    outputs.push_back(real[k].outputs);
    taylor_outputs.push_back(other ? other->outputs : at::full_like(real[k].outputs, none));
  }
  found.outputs = at::stack(outputs), found.taylor_outputs = at::stack(taylor_outputs);
  return found;
}

std::string taylorised_csv(const Taylorised& found) {
  std::string text = "step,loss,taylor_loss,accuracy,taylor_accuracy,agreement,distance,weight_distance\n";
  for (const TaylorMoment& m : found.moments)
    text += fmt::format("{},{},{},{},{},{},{},{}\n", m.step, m.loss, m.taylor_loss, m.accuracy, m.taylor_accuracy, m.agreement, m.distance, m.weight_distance);
  return text;
}

}  // namespace pathkernel
