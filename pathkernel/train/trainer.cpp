#include <pathkernel/train/trainer.h>

#include <pathkernel/core/error.h>

#include <ATen/Context.h>
#include <ATen/core/grad_mode.h>
#include <fmt/format.h>

#include <algorithm>
#include <mutex>

namespace pathkernel {
namespace {

void seed_generator(at::Device device, uint64_t seed) {
  at::Generator generator = at::globalContext().defaultGenerator(device);
  const std::lock_guard lock(generator.mutex());
  generator.set_current_seed(seed);
}

/// What autocast left in half precision, in float32: its own losses do so too.
Tensors whole(const Tensors& outputs) {
  Tensors all;
  for (const Tensor& t : outputs) all.push_back(t.scalar_type() == at::kBFloat16 || t.scalar_type() == at::kHalf ? t.to(at::kFloat) : t);
  return all;
}

void clear_gradients(const Tensors& parameters) {
  for (const Tensor& w : parameters) w.mutable_grad() = Tensor();
}

}  // namespace

void seed_generators(const Tensors& parameters, uint64_t seed) {
  seed_generator(at::kCPU, seed);
  if (!parameters.empty() && !parameters[0].is_cpu()) seed_generator(parameters[0].device(), seed);
}

std::vector<Batch> micro_batches(const Batch& batch, int64_t count) {
  if (count <= 1) return {batch};
  const int64_t n = batch.size(), parts_of = std::min(count, n), size = (n + parts_of - 1) / parts_of;
  std::vector<Batch> parts;
  for (int64_t begin = 0; begin < n; begin += size) {
    const int64_t length = std::min(size, n - begin);
    Batch part{{}, batch.targets.narrow(0, begin, length), batch.indices.narrow(0, begin, length)};
    for (const Tensor& input : batch.inputs) part.inputs.push_back(input.narrow(0, begin, length));
    parts.push_back(std::move(part));
  }
  return parts;
}

Trainer::Trainer(TrainingSettings settings, const Learner& learner)
    : settings_(std::move(settings)),
      model_(learner.model),
      objective_(learner.objective ? learner.objective(settings_) : make_objective(settings_.objective, settings_.reduction)),
      dropped_(settings_.dropped, settings_.renormalise),
      optimizer_(learner.optimizer ? learner.optimizer(settings_) : make_optimizer(settings_.optimizer, model_.parameters())) {
  if (!settings_.regulariser.empty()) regulariser_ = make_regulariser(settings_.regulariser);
  if (settings_.accumulate < 1)
    throw InvalidInput(fmt::format("training: a step takes 1 or more micro-batches, but accumulate is {}", settings_.accumulate));
  if (settings_.renormalise && settings_.reduction == "sum")
    throw InvalidInput("training: with reduction \"sum\" every example's loss has weight 1, so there is nothing to renormalise when some are dropped; "
                       "leave it out");
  if (!std::is_sorted(settings_.dropped.begin(), settings_.dropped.end()))
    throw InvalidInput("training: the examples to be dropped are not in ascending order; sort them");
  if (settings_.keeps_average()) average_ = std::make_unique<WeightAverage>(settings_, model_.parameters());
}

double Trainer::passes(const Batch& batch, StepObserver* observer) {
  const std::vector<Batch> parts = micro_batches(batch, settings_.accumulate);
  std::vector<Tensor> drawn;
  for (const Batch& part : parts) drawn.push_back(part.indices);
  const double factor = dropped_.factor(drawn);
  double loss = 0;
  for (const Batch& part : parts) {
    if (observer) observer->before_forward(model_, part);
    const Tensors outputs = model_.forward(part.inputs, Mode::train);
    const Tensor losses = objective_->losses(whole(outputs), part.targets);
    Tensor weights = objective_->weights(losses, part.targets, static_cast<int64_t>(parts.size()));
    if (const Tensor kept = dropped_.kept(part.indices, losses.options()); kept.defined()) weights = weights * kept;
    if (factor != 1) weights = weights * factor;
    const Tensor sum = losses.mul(weights).sum();
    if (observer) observer->after_forward(outputs, losses, weights);
    sum.backward();
    if (observer) observer->after_backward();
    loss += sum.item<double>();
  }
  return loss;
}

StepResult Trainer::step(const Batch& batch, double lr, uint64_t random_seed, StepObserver* observer) {
  const at::AutoGradMode with_grad(true);
  const Tensors parameters = values(model_.parameters());
  seed_generators(parameters, random_seed);
  clear_gradients(parameters);
  double loss = passes(batch, observer);

  Tensors gradients;
  for (const Tensor& w : parameters) gradients.push_back(w.grad());
  // What one step leaves in .grad would be added to by whatever runs next.
  clear_gradients(parameters);
  if (observer) observer->after_passes(gradients);

  const at::NoGradGuard no_grad;
  if (regulariser_) {
    loss += regulariser_->value(parameters);
    const Tensors pull = regulariser_->gradient(parameters);
    for (size_t l = 0; l < gradients.size(); ++l) gradients[l] = gradients[l].defined() ? gradients[l] + pull[l] : pull[l];
  }
  optimizer_->step(parameters, gradients, lr);
  if (average_) average_->update(parameters);
  return {loss};
}

}  // namespace pathkernel
