#include <pathkernel/sweep/coupled_pass.h>

#include <ATen/ops/matmul.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <fmt/format.h>
#include <pathkernel/core/error.h>
#include <pathkernel/model/own_weights.h>
#include <pathkernel/sweep/evaluation.h>

namespace pathkernel {
int64_t CoupledPass::bytes() const {
  int64_t total = int64_t(batch.targets.nbytes());
  for (const Tensors* list : {&batch.inputs, &buffers, &gradient}) {
    for (const Tensor& t : *list) total += t.defined() ? int64_t(t.nbytes()) : 0;
  }
  return total;
}

std::unique_ptr<LossTape> CoupledPasses::run(const Tensors& weights, const CoupledPass& pass, bool with_gradient) const {
  const OwnWeights own(model_);
  model_.bind_parameters(in(options_.precision, weights));
  model_.bind_buffers(in(options_.precision, pass.buffers));
  const Tensors inputs = in(options_.precision, pass.batch.inputs);
  const Tensor targets = in(options_.precision, {pass.batch.targets}).front();
  Tensors examples = inputs;
  examples.push_back(targets);
  const auto losses = [&] {
    pass.generators.restore();
    return objective_.losses(model_.forward(inputs, Mode::train), targets);
  };
  const Tensor b = pass.b.to(options_.precision);
  return std::make_unique<LossTape>(model_, examples, losses, with_gradient ? [b](const Tensor&) { return b; } : std::function<Tensor(const Tensor&)>());
}

void CoupledPasses::find_gradient(const Tensors& weights, CoupledPass& pass) const { pass.gradient = run(weights, pass, true)->gradient(); }

const LossTape& CoupledPasses::tape(const Tensors& weights, const std::shared_ptr<const CoupledPass>& pass) {
  if (taped_ != pass) {
    tape_.reset();
    tape_ = run(weights, *pass, false);
    taped_ = pass;
  }
  return *tape_;
}

int64_t CoupledPasses::tape_bytes(const Tensors& weights, const std::shared_ptr<const CoupledPass>& pass) { return tape(weights, pass).bytes(); }

CoupledShares CoupledPasses::shares(const Tensors& weights, const std::shared_ptr<const CoupledPass>& pass, const Tensors& lambda) {
  CoupledShares out;
  int64_t queries = 0;
  for (const Tensor& t : lambda) queries = t.defined() ? t.size(0) : queries;
  const auto f64 = pass->b.options().dtype(at::kDouble);
  out.by_example = tape(weights, pass).products(lambda, {.memory = options_.memory}).to(at::kDouble) * pass->b.to(at::kDouble).unsqueeze(1);
  out.by_parameter = at::zeros({int64_t(lambda.size()), queries}, f64);
  for (size_t l = 0; l < lambda.size(); ++l) {
    if (lambda[l].defined() && pass->gradient[l].defined()) out.by_parameter[int64_t(l)].copy_(at::matmul(lambda[l], pass->gradient[l]));
  }
  const Tensor sizes = at::zeros_like(out.by_parameter);  // of each parameter's λ
  for (size_t l = 0; l < lambda.size(); ++l) {
    if (lambda[l].defined() && lambda[l].numel() > 0) sizes[int64_t(l)].copy_(lambda[l].abs().amax(1));
  }
  if (options_.check) check(out, sizes.numel() > 0 ? sizes.max().item<double>() : 0);
  book_rounding(out, sizes);
  return out;
}

void CoupledPasses::book_rounding(CoupledShares& shares, const Tensor& sizes) const {
  shares.rounding = shares.by_parameter.sum(0) - shares.by_example.sum(0);
  shares.by_parameter.scatter_add_(0, sizes.argmax(0, /*keepdim=*/true), -shares.rounding.unsqueeze(0));
}

// Invariant 3 along λ: Σ_i b_i ⟨λ, ∇ℓ_i⟩ = ⟨λ, ∇ Σ_i b_i ℓ_i⟩. Tangents that cancel (a bias before batch norm) leave their rounding.
void CoupledPasses::check(const CoupledShares& shares, double largest) const {
  const bool float64 = options_.precision == at::kDouble;
  const Tensor off = (shares.by_example.sum(0) - shares.by_parameter.sum(0)).abs();
  const Tensor size = shares.by_example.abs().sum(0) + shares.by_parameter.abs().sum(0);
  const Tensor allowed = size * (float64 ? 1e-10 : 1e-3) + largest * (float64 ? 1e-13 : 1e-4);
  if (!off.gt(allowed).any().item<bool>()) return;
  throw InvariantViolated(fmt::format("the coupled examples of a batch do not add up to its gradient (off by {:.2g}, of {:.2g}): the training pass is "
                                      "not the function that was taken forwards. A backward pass of its own, or random numbers that another precision "
                                      "draws otherwise, is the usual reason",
                                      off.max().item<double>(), shares.by_parameter.sum(0).abs().max().item<double>()));
}

}  // namespace pathkernel
