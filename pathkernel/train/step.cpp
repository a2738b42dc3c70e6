#include <pathkernel/train/step.h>

#include <ATen/Context.h>
#include <ATen/core/grad_mode.h>

#include <mutex>

namespace pathkernel {
namespace {

void seed_generator(at::Device device, uint64_t seed) {
  at::Generator generator = at::globalContext().defaultGenerator(device);
  const std::lock_guard lock(generator.mutex());
  generator.set_current_seed(seed);
}

/// Random operations draw the same numbers whenever the step is repeated.
void seed_generators(const Tensors& parameters, uint64_t seed) {
  seed_generator(at::kCPU, seed);
  if (!parameters.empty() && !parameters[0].is_cpu()) seed_generator(parameters[0].device(), seed);
}

void clear_gradients(const Tensors& parameters) {
  for (const Tensor& w : parameters) w.mutable_grad() = Tensor();
}

}  // namespace

StepResult training_step(Model& model, const Objective& objective, Optimizer& optimizer, const Batch& batch, double lr,
                         uint64_t random_seed, StepObserver* observer) {
  const at::AutoGradMode with_grad(true);
  const Tensors parameters = values(model.parameters());
  seed_generators(parameters, random_seed);
  clear_gradients(parameters);

  if (observer) observer->before_forward(model, batch);
  const Tensors outputs = model.forward(batch.inputs, Mode::train);
  const Tensor losses = objective.losses(outputs, batch.targets);
  const Tensor loss = losses.mul(objective.weights(losses)).sum();
  if (observer) observer->after_forward(outputs, losses);

  loss.backward();
  Tensors gradients;
  for (const Tensor& w : parameters) gradients.push_back(w.grad());
  // What one step leaves in .grad would be added to by whatever runs next.
  clear_gradients(parameters);
  if (observer) observer->after_backward(gradients);

  {
    const at::NoGradGuard no_grad;
    optimizer.step(parameters, gradients, lr);
  }
  return {loss.item<double>()};
}

}  // namespace pathkernel
