#include <pathkernel/sweep/trace.h>

#include <ATen/ops/arange.h>
#include <ATen/ops/ones_like.h>
#include <ATen/ops/zeros_like.h>
#include <fmt/format.h>
#include <pathkernel/core/error.h>
#include <pathkernel/tangent/catcher.h>
#include <pathkernel/tangent/contraction.h>

#include <algorithm>
#include <cmath>
#include <optional>

namespace pathkernel {
namespace {

/// Hangs the catcher into a replayed training step.
class Watch : public StepObserver {
 public:
  Watch(const Objective& objective, bool path_kernel, bool probe) : objective_(objective), path_kernel_(path_kernel), probe_(probe) {}

  void before_forward(Model& model, const Batch& batch) override {
    parameters_ = model.parameters();
    Tensors examples = batch.inputs;
    examples.push_back(batch.targets);
    catcher_.emplace(parameters_, model.buffers(), examples);
  }

  void after_forward(const Tensors& outputs, const Tensor& losses) override {
    catcher_->forward_done();
    if (probe_) probe(losses);
    if (path_kernel_) {
      // Σ_i b_i f(x_i): its per-example gradients are b_i J_i.
      const Tensor b = objective_.weights(losses).detach();
      outputs[0].flatten(1).squeeze(1).mul(b).sum().backward({}, /*retain_graph=*/true);
      output_gradients = catcher_->take();
      forget_gradients();
    }
  }

  void after_backward(const Tensors& batch_gradients) override {
    gradients = catcher_->take();
    batch_gradient = batch_gradients;
    catcher_.reset();
  }

  FactorSet gradients, output_gradients;
  Tensors batch_gradient;

 private:
  void probe(const Tensor& losses) {
    const Tensor b = objective_.weights(losses).detach();
    losses.mul(b).sum().backward({}, true);
    const FactorSet once = catcher_->take();
    losses.mul(b).mul(at::arange(1, losses.size(0) + 1, b.options())).sum().backward({}, true);
    const FactorSet weighted = catcher_->take();
    forget_gradients();
    Catcher::check_owners(once, weighted, parameters_);
  }
  void forget_gradients() {
    for (const NamedTensor& p : parameters_) p.tensor.mutable_grad() = Tensor();
  }

  const Objective& objective_;
  bool path_kernel_, probe_;
  NamedTensors parameters_;
  std::optional<Catcher> catcher_;
};

double largest(const Tensor& t) { return t.numel() == 0 ? 0 : t.abs().max().item<double>(); }

LinearForm in_precision(LinearForm form, at::ScalarType precision) {
  for (Coefficient* c : {&form.N, &form.D, &form.E}) {
    if (c->is_diagonal()) c->diagonal = c->diagonal.to(precision).reshape(-1).contiguous();
  }
  return form;
}

Tensor flat64(const Tensor& t) { return t.detach().to(at::kDouble).reshape(-1); }

}  // namespace

struct Tracer::Impl {
  const Recording& recording;
  Model& model;
  Options options;
  Replay replay;
  Tensors live_parameters, live_buffers;  ///< the run's own storage: queries bind the model to other weights in between
  double largest_mismatch = 0;
  int64_t first_drift = -1;
  bool probed = false;

  void bind_live() {
    model.bind_parameters(live_parameters);
    model.bind_buffers(live_buffers);
  }
  void check_batch(const StepTrace& trace, size_t l, const Tensor& sum, const Tensor& batch_gradient) const;
  void roundings(StepTrace& trace, size_t l, const Tensor& w0, const Tensor& w1, const Tensor& m0, const Tensor& m1, const Tensor& gradient);
};

Tracer::Tracer(const Recording& recording, Model& model, const Dataset& data, Options options)
    : impl_(new Impl{recording, model, options, Replay(recording, model, data), {}, {}, 0, -1, false}) {
  impl_->live_parameters = copies(values(model.parameters()));
  impl_->live_buffers = copies(values(model.buffers()));
}
Tracer::~Tracer() = default;
double Tracer::largest_mismatch() const { return impl_->largest_mismatch; }
int64_t Tracer::first_drift() const { return impl_->first_drift; }
const Objective& Tracer::objective() const { return impl_->replay.objective(); }

// Invariant 3: Σ_i b_i g_i is the gradient autograd computed for the batch.
void Tracer::Impl::check_batch(const StepTrace& trace, size_t l, const Tensor& sum, const Tensor& batch_gradient) const {
  const double precision = live_parameters[l].scalar_type() == at::kDouble ? 1e-10 : 2e-3;
  const Tensor reference = batch_gradient.defined() ? flat64(batch_gradient) : at::zeros_like(sum);
  const double off = largest(sum - reference), scale = std::max(largest(reference), largest(sum));
  if (off <= precision * scale) return;
  // A gradient that cancels to nothing leaves only the rounding of its terms.
  double terms = 0;
  for (const Factor& f : trace.gradients.parameters[l]) terms = std::max(terms, largest(f.left) * (f.right.defined() ? largest(f.right) : 1) * double(f.terms()));
  if (off <= terms * (live_parameters[l].scalar_type() == at::kDouble ? 1e-14 : 1e-5)) return;
  throw InvariantViolated(fmt::format("step {}: the per-example gradients of parameter '{}' do not add up to the batch's gradient (off by {:.2g}, gradient at most {:.2g}); "
                                      "the parameter is used in a way the tape does not see", trace.step, model.parameters()[l].name, off, scale));
}

// ρ^m and ρ (theory 2.6), in float64 from the stored numbers, with the coefficients the sweep will use.
void Tracer::Impl::roundings(StepTrace& trace, size_t l, const Tensor& w0, const Tensor& w1, const Tensor& m0, const Tensor& m1, const Tensor& gradient) {
  const LinearForm& form = trace.form[l];
  const auto times = [](const Coefficient& c, const Tensor& t) { return c.is_diagonal() ? c.diagonal.to(at::kDouble) * t : t * c.number; };
  const Tensor w = flat64(w0), delta = flat64(w1) - w;
  const Tensor u = form.omega_c == 0 ? gradient : gradient + w * form.omega_c;
  Tensor expected = form.E.is_zero() ? at::zeros_like(w) : times(form.E, u).neg_();
  const bool float64 = w0.scalar_type() == at::kDouble;
  double share = 0;
  if (form.has_memory()) {
    const Tensor m = flat64(m1), pushed = times(form.N, u);
    const Tensor carried = m0.defined() ? flat64(m0) * form.mu : at::zeros_like(m);
    const Tensor rho = m - carried - pushed;
    const double allowed = (float64 ? 1e-9 : 2e-3) * std::max(largest(m), largest(pushed)) + (float64 ? 1e-300 : 1e-37);
    share = largest(rho) / allowed;
    trace.memory_rounding.push_back(rho.to(options.precision));
    expected.sub_(times(form.D, m));
  } else {
    trace.memory_rounding.emplace_back();
  }
  if (form.eta_omega_d != 0) expected.sub_(w * form.eta_omega_d);
  const Tensor rho = delta - expected;
  const double allowed = (float64 ? 1e-14 : 1e-6) * largest(w) + (float64 ? 1e-9 : 2e-3) * largest(expected) + (float64 ? 1e-300 : 1e-37);
  share = std::max(share, largest(rho) / allowed);
  trace.rounding.push_back(rho.to(options.precision));
  largest_mismatch = std::max(largest_mismatch, trace.exact ? share : 0);
  if (options.check && trace.exact && !(share <= 1)) {
    throw InvariantViolated(fmt::format("step {}: the optimizer's linear form does not give the update of parameter '{}' (off by {:.2g} times what rounding allows)",
                                        trace.step, model.parameters()[l].name, share));
  }
}

PathSegment Tracer::segment(int64_t begin, int64_t end) {
  Impl& I = *impl_;
  I.bind_live();
  I.replay.restore(begin);
  const Optimizer& optimizer = I.replay.optimizer();
  PathSegment out;
  Tensors memory = copies(optimizer.memory());
  std::vector<Tensors> memories = {memory};
  std::vector<Tensors> sums;
  for (int64_t s = begin; s < end; ++s) {
    StepTrace trace;
    trace.step = s;
    trace.weights = copies(values(I.model.parameters()));
    trace.buffers = copies(values(I.model.buffers()));
    Watch watch(I.replay.objective(), I.options.path_kernel, I.options.check && !I.probed);
    I.probed = true;
    const Replay::Repeated repeated = [&] {
      const Timed timed(I.options.timings, "replay with gradients caught");
      return I.replay.advance(&watch);
    }();
    const Timed timed(I.options.timings, "linear form and checks");
    trace.indices = repeated.record.indices;
    trace.exact = repeated.exact;
    if (!trace.exact) {
      if (I.options.strict) throw ReplayMismatch(fmt::format("replay of {} differs from the recording at step {} (stopped because of --strict)", I.recording.folder(), s));
      if (I.first_drift < 0 || s < I.first_drift) I.first_drift = s;
    }
    trace.gradients = watch.gradients.to(I.options.precision);
    trace.output_gradients = watch.output_gradients.to(I.options.precision);
    for (const LinearForm& form : optimizer.linear_form()) trace.form.push_back(in_precision(form, I.options.precision));
    Tensors sum;
    for (size_t l = 0; l < trace.weights.size(); ++l) {
      const Tensor& w = trace.weights[l];
      sum.push_back(sum_over_examples(trace.gradients.parameters[l], w.numel(), w.options().dtype(I.options.precision)).to(at::kDouble));
      if (I.options.check) I.check_batch(trace, l, sum.back(), watch.batch_gradient[l]);
    }
    sums.push_back(std::move(sum));
    memories.push_back(copies(optimizer.memory()));
    out.steps.push_back(std::move(trace));
  }
  out.end_weights = copies(values(I.model.parameters()));
  out.end_buffers = copies(values(I.model.buffers()));
  const bool exact = std::all_of(out.steps.begin(), out.steps.end(), [](const StepTrace& t) { return t.exact; });
  const std::vector<int64_t> checkpoints = I.recording.checkpoint_steps();
  if (!exact && std::find(checkpoints.begin(), checkpoints.end(), end) != checkpoints.end()) {  // the recorded path goes on from its own checkpoint: the last step ends there
    const Tensors replayed = memories.back();
    I.replay.restore(end);
    out.end_weights = copies(values(I.model.parameters()));
    out.end_buffers = copies(values(I.model.buffers()));
    const Tensors recorded = I.replay.optimizer().memory();  // restore() made another optimizer
    for (size_t l = 0; l < replayed.size(); ++l) out.end_memory_jump.push_back((flat64(recorded[l]) - flat64(replayed[l])).to(I.options.precision));
  }
  const Timed timed(I.options.timings, "linear form and checks");
  for (size_t k = 0; k < out.steps.size(); ++k) {
    StepTrace& trace = out.steps[k];
    const Tensors& next = k + 1 < out.steps.size() ? out.steps[k + 1].weights : out.end_weights;
    for (size_t l = 0; l < trace.weights.size(); ++l) {
      const auto at = [&](const Tensors& m) { return m.empty() ? Tensor() : m[l]; };
      I.roundings(trace, l, trace.weights[l], next[l], at(memories[k]), at(memories[k + 1]), sums[k][l]);
    }
  }
  return out;
}

}  // namespace pathkernel
