#include <pathkernel/kernel/fidelity.h>

#include <pathkernel/core/bytes.h>
#include <pathkernel/core/error.h>
#include <pathkernel/kernel/moments.h>
#include <pathkernel/kernel/path_kernel.h>
#include <pathkernel/kernel/tangent_blocks.h>
#include <pathkernel/kernel/tangent_kernel.h>
#include <pathkernel/model/in_float64.h>
#include <pathkernel/model/own_weights.h>
#include <pathkernel/record/replay.h>
#include <pathkernel/record/step_rate.h>

#include <ATen/CPUGeneratorImpl.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/linalg_lstsq.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>
#include <array>
#include <cmath>

namespace pathkernel {
namespace {

constexpr double none = std::numeric_limits<double>::quiet_NaN();

/// What a step's passes were made of: inputs, ∂ℓ_i/∂f_i and b_i, as training had them.
class Residuals : public StepObserver {
 public:
  struct Pass { Tensors inputs; Tensor indices, r, b; };

  void before_forward(Model&, const Batch& batch) override { passes.push_back({InFloat64::copies(batch.inputs), batch.indices.cpu(), {}, {}}); }
  void after_forward(const Tensors& outputs, const Tensor& losses, const Tensor& weights) override {
    const Tensor r = torch::autograd::grad({losses.sum()}, {outputs.at(0)}, {}, /*retain_graph=*/true).front();
    passes.back().r = r.detach().reshape({r.size(0), -1}).to(at::kDouble);
    passes.back().b = weights.detach().reshape(-1).to(at::kDouble);
  }

  std::vector<Pass> passes;
};

/// A step of SGD is a multiple of the gradients; of others it is not.
bool is_sgd(const Recording& recording) { return recording.manifest().optimizer.name == "sgd"; }

/// What clipping multiplied the last step's gradients by; −1 times that where the optimizer climbs.
double clipped(const Optimizer& optimizer) {
  for (const LinearForm& form : optimizer.linear_form())
    if (!form.D.is_zero() || !form.E.is_zero()) return form.kappa;
  return 1;
}

/// The time of each step: how far its gradients move the weights until the end; where the steps are no multiple of them, η.
std::vector<double> times_of(const Recording& recording) {
  if (is_sgd(recording)) return step_pushes(recording, "fidelity");
  std::vector<double> rates;
  for (int64_t s = 0; s < recording.steps(); ++s) rates.push_back(step_rate(recording.step(s), "fidelity"));
  return rates;
}

/// What a walk along the path collects. K [N, Q, O, O]; c [N, Q, O]; time [N] = Σ_s t_s b; pull [N, O] = Σ_s t_s b r, t_s the step's time.
struct Walked {
  Tensor K, c, time, pull, f_first, f_last;
  Tensors first, first_buffers, last, last_buffers;
};

class Walk {
 public:
  Walk(const Recording& recording, const Learner& learner, const Dataset& data, const Tensors& queries, const FidelityOptions& options)
      : recording_(recording), model_(learner.model), queries_(queries), options_(options), replay_(recording, learner, data) {
    replay_.restore(0);
    note(found_.first, found_.first_buffers, found_.f_first);
    const int64_t N = data.size(), Q = found_.f_first.size(0), O = found_.f_first.size(1);
    const double needed = 3.0 * 8.0 * double(N) * double(Q) * double(O) * double(O);  // the path kernel, another, and its copy for the fit
    if (needed > double(options.memory))
      throw InvalidInput(fmt::format("fidelity: kernels of {} examples, {} queries and {} outputs take {}, but {} are allowed; ask about fewer queries, or allow more", N, Q, O,
                                     print_bytes(int64_t(needed)), print_bytes(options.memory)));
    found_.K = at::zeros({N, Q, O, O}, at::kDouble), found_.c = at::zeros({N, Q, O}, at::kDouble);
    found_.time = at::zeros({N}, at::kDouble), found_.pull = at::zeros({N, O}, at::kDouble);
  }

  Walked run() {
    const std::vector<double> times = times_of(recording_);
    for (int64_t s = 0; s < recording_.steps(); ++s) {
      const Tensors w = InFloat64::copies(values(model_.parameters())), buffers = InFloat64::copies(values(model_.buffers()));
      Residuals residuals;
      replay_.advance(&residuals);
      const double kappa = is_sgd(recording_) ? clipped(replay_.trainer().optimizer()) : 1;
      if (kappa < 0)
        for (Residuals::Pass& pass : residuals.passes) pass.r.neg_();
      const Tensors next = InFloat64::copies(values(model_.parameters()));
      const OwnWeights training(model_);  // the step's storage again, for the next one
      add(w, next, buffers, residuals.passes, times[size_t(s)] * std::abs(kappa));
      if (options_.progress) options_.progress("steps", s + 1, recording_.steps());
    }
    note(found_.last, found_.last_buffers, found_.f_last);
    return std::move(found_);
  }

 private:
  void put(const Tensors& weights, const Tensors& buffers) {
    model_.bind_parameters(copies(weights));
    model_.bind_buffers(copies(buffers));
  }

  /// Weights, buffers and the queries' outputs now.
  void note(Tensors& weights, Tensors& buffers, Tensor& f) {
    weights = InFloat64::copies(values(model_.parameters())), buffers = InFloat64::copies(values(model_.buffers()));
    const OwnWeights training(model_);
    put(weights, buffers);
    const at::AutoGradMode off(false);
    f = first_output(model_.forward(queries_, Mode::eval)).detach().clone();
  }

  void add(const Tensors& w, const Tensors& next, const Tensors& buffers, const std::vector<Residuals::Pass>& passes, double eta) {
    std::vector<Jacobians> batch;
    put(w, buffers);
    for (const Residuals::Pass& pass : passes) batch.emplace_back(model_, pass.inputs);
    for (const double u : {0.5 - std::sqrt(3) / 6, 0.5 + std::sqrt(3) / 6}) {  // two Gauss points of the segment
      Tensors between;
      for (size_t l = 0; l < w.size(); ++l) between.push_back(w[l] + u * (next[l] - w[l]));
      put(between, buffers);
      const Jacobians G(model_, queries_);
      for (size_t k = 0; k < passes.size(); ++k) book(passes[k], tangent_product(G, batch[k], TangentForm::full, w.front().options()).cpu(), eta / 2);
    }
  }

  /// @param theta  ⟨G(x), J_i⟩ [Q, n, O, O]
  void book(const Residuals::Pass& pass, const Tensor& theta, double eta) {
    const Tensor b = pass.b.cpu() * eta, rb = pass.r.cpu() * b.unsqueeze(1);
    found_.K.index_add_(0, pass.indices, (theta * b.view({1, -1, 1, 1})).transpose(0, 1));
    found_.c.index_add_(0, pass.indices, at::matmul(theta, rb.unsqueeze(2)).squeeze(3).transpose(0, 1), -1);
    found_.time.index_add_(0, pass.indices, b);
    found_.pull.index_add_(0, pass.indices, rb);
  }

  const Recording& recording_;
  Model& model_;
  const Tensors& queries_;
  const FidelityOptions& options_;
  Replay replay_;
  Walked found_;
};

/// [Q, O] both; none where F is the same for all queries, but for rounding.
double r_squared(const Tensor& F, const Tensor& p) {
  const double size = (F - F.mean(0, true)).square().sum().item<double>();
  return size > 1e-24 * F.square().sum().item<double>() ? 1 - (F - p).square().sum().item<double>() / size : none;
}

/// A X ≈ B, X of smallest norm, by singular values: less than 1e-10 of the largest is rounding, of a kernel of few features. (gelsy misjudges the rank of such.)
Tensor fitted(const Tensor& A, const Tensor& B) { return std::get<0>(at::linalg_lstsq(A.contiguous(), B.contiguous(), 1e-10, "gelsd")); }

/// R² on the odd queries of coefficients fitted to the even ones.  @param K [N, Q, O, O] or, the outputs apart, [N, Q, O]
double least_squares(const Tensor& K, const Tensor& F) {
  const int64_t N = K.size(0), Q = F.size(0), O = F.size(1);
  const Tensor others = F.slice(0, 1, Q, 2);
  const auto rows = [&](const Tensor& A, int64_t first) { return A.slice(0, first, Q, 2); };
  if (K.dim() == 4) {
    const Tensor A = K.permute({1, 2, 0, 3}).reshape({Q, O, N * O});
    const Tensor a = fitted(rows(A, 0).reshape({-1, N * O}), rows(F, 0).reshape({-1, 1}));
    return r_squared(others, at::matmul(rows(A, 1), a).squeeze(2));
  }
  Tensor p = at::zeros_like(others);
  for (int64_t o = 0; o < O; ++o) {
    const Tensor A = K.select(2, o).t();
    p.select(1, o).copy_(at::matmul(rows(A, 1), fitted(rows(A, 0), rows(F.narrow(1, o, 1), 0))).squeeze(1));
  }
  return r_squared(others, p);
}

double middle(const Tensor& values) { return values.numel() == 0 ? none : std::get<0>(values.reshape(-1).sort())[values.numel() / 2].item<double>(); }

/// c_i(x)/k(x, x_i): how well they give Σ_i c_i(x) back, and how much they change with x.  @param k, c [N, Q, O]
void look_at_own_coefficients(const Tensor& k, const Tensor& c, const Tensor& drawn, KernelFidelity& found) {
  const Tensor a = c / k, back = (a * k).nan_to_num(0, 0, 0).sum(0), total = c.sum(0);
  found.tautology = ((back - total).abs().max() / total.abs().max()).item<double>();
  const Tensor sorted = std::get<0>(a.index_select(0, drawn).sort(1));
  const int64_t Q = k.size(1);
  const Tensor spread = (sorted.select(1, 3 * Q / 4) - sorted.select(1, Q / 4)) / sorted.select(1, Q / 2).abs();
  found.spread = middle(spread.masked_select(spread.isfinite()));
}

/// exp(−‖x − x'‖²/2ℓ²) [N, Q], ℓ² the mean of ‖x − x'‖²
Tensor gaussian(const Tensor& examples, const Tensor& queries) {
  const Tensor x = examples.reshape({examples.size(0), -1}).to(at::kDouble), q = queries.reshape({queries.size(0), -1}).to(at::kDouble);
  const Tensor squares = (x.square().sum(1, true) + q.square().sum(1) - 2 * at::matmul(x, q.t())).clamp_min(0);
  return (squares / (-2 * squares.mean())).exp();
}

/// One kernel after another: only one is held beside the path kernel.
class Judge {
 public:
  Judge(Model& model, const Tensors& examples, const Tensors& queries, const Walked& walked, bool flows, int64_t memory)
      : model_(model), examples_(examples), queries_(queries), walked_(walked), flows_(flows), memory_(memory), F_(walked.f_last - walked.f_first), drawn_(walked.time.nonzero().squeeze(1)) {}

  Fidelity run(int64_t steps) {
    const int64_t N = walked_.K.size(0), Q = F_.size(0), O = F_.size(1);
    Fidelity all{Q, N, O, steps, flows_ ? r_squared(F_, walked_.c.sum(0)) : none, {}};
    all.kernels.push_back(judge("path", walked_.K, walked_.pull / walked_.time.unsqueeze(1)));
    all.kernels.push_back(judge("untrained", tangent(walked_.first, walked_.first_buffers), walked_.pull));
    all.kernels.push_back(judge("trained", tangent(walked_.last, walked_.last_buffers), walked_.pull));
    const Tensor f_examples = first_output([&] {
      const at::AutoGradMode off(false);
      return model_.forward(examples_, Mode::eval);  // tangent() left the trained weights
    }());
    all.kernels.push_back(judge("outputs", f_examples.unsqueeze(1) * walked_.f_last.unsqueeze(0), {}));
    all.kernels.push_back(judge("gaussian", gaussian(examples_.front(), queries_.front()).unsqueeze(2).expand({N, Q, O}), {}));
    const at::Generator own = at::make_generator<at::CPUGeneratorImpl>(1);
    const Tensor numbers = at::randn({N + Q, 5}, own, at::kDouble);
    all.kernels.push_back(judge("noise", gaussian(numbers.narrow(0, 0, N), numbers.narrow(0, N, Q)).unsqueeze(2).expand({N, Q, O}), {}));
    return all;
  }

 private:
  Tensor tangent(const Tensors& weights, const Tensors& buffers) {
    model_.bind_parameters(copies(weights));
    model_.bind_buffers(copies(buffers));
    return tangent_kernel(model_, examples_, queries_, {.memory = memory_}).transpose(2, 3);  // Θ_op(x_i, x) = Θ_po(x, x_i)
  }

  /// @param mean  [N, O]: −Σ k·mean is the prediction in which nothing is fitted; undefined: there is none
  KernelFidelity judge(const std::string& name, const Tensor& K, const Tensor& mean) {
    KernelFidelity found;
    found.kernel = name;
    const Tensor own = K.dim() == 4 ? K.diagonal(0, 2, 3) : K;
    found.negative = own.index_select(0, drawn_).lt(0).to(at::kDouble).mean().item<double>();
    if (flows_) look_at_own_coefficients(own, walked_.c, drawn_, found);
    if (flows_ && mean.defined()) found.time_mean = r_squared(F_, -at::matmul(K.index_select(0, drawn_), mean.index_select(0, drawn_).view({-1, 1, F_.size(1), 1})).squeeze(3).sum(0));
    found.least_squares = least_squares(K, F_);
    return found;
  }

  Model& model_;
  const Tensors &examples_, &queries_;
  const Walked& walked_;
  bool flows_;
  int64_t memory_;
  Tensor F_, drawn_;
};

}  // namespace

const KernelFidelity& Fidelity::of(const std::string& kernel) const {
  const auto found = std::find_if(kernels.begin(), kernels.end(), [&](const KernelFidelity& k) { return k.kernel == kernel; });
  if (found == kernels.end()) throw InvalidInput(fmt::format("fidelity: there is no kernel \"{}\"; path, untrained, trained, outputs, gaussian or noise is expected", kernel));
  return *found;
}

Fidelity fidelity(const Recording& recording, const Learner& learner, const Dataset& data, const Tensors& queries, const FidelityOptions& options) {
  if (queries.empty() || queries.front().size(0) < 8) throw InvalidInput("fidelity: eight queries or more are needed; every second one is kept from the fit");
  require_finite(queries, "fidelity", "the queries");
  if (recording.steps() == 0) throw InvalidInput(fmt::format("fidelity: the recording {} has no steps", recording.folder()));
  const OwnWeights own(learner.model);
  const Tensors asked = InFloat64::copies(queries);
  const Walked walked = Walk(recording, learner, data, asked, options).run();
  const Tensors examples = take(data, at::arange(data.size(), at::kLong), at::kDouble).inputs;
  return Judge(learner.model, examples, asked, walked, is_sgd(recording), options.memory).run(recording.steps());
}

std::string fidelity_csv(const Fidelity& found) {
  std::string text = "kernel,tautology,spread,time_mean,least_squares,negative\n";
  for (const KernelFidelity& k : found.kernels) text += fmt::format("{},{},{},{},{},{}\n", k.kernel, k.tautology, k.spread, k.time_mean, k.least_squares, k.negative);
  return text;
}

}  // namespace pathkernel
