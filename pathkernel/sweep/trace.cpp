#include <pathkernel/sweep/trace.h>

#include <ATen/ops/empty_like.h>
#include <ATen/ops/zeros_like.h>
#include <fmt/format.h>
#include <pathkernel/core/error.h>
#include <pathkernel/sweep/kernels/rounding.h>
#include <pathkernel/sweep/watch.h>
#include <pathkernel/tangent/contraction.h>
#include <pathkernel/tangent/coupled_batch.h>

#include <algorithm>
#include <cmath>
#include <limits>

namespace pathkernel {
namespace {

double largest(const Tensor& t) { return t.numel() == 0 ? 0 : t.abs().max().item<double>(); }

Tensor flat64(const Tensor& t) { return t.detach().to(at::kDouble).reshape(-1); }

LinearForm in_precision(LinearForm form, at::ScalarType precision) {
  for (Coefficient* c : {&form.N, &form.D, &form.E}) {
    if (c->is_diagonal()) c->diagonal = c->diagonal.to(precision).reshape(-1).contiguous();
  }
  if (form.M.defined()) form.M = form.M.to(precision).reshape(-1).contiguous();
  if (form.S.defined()) form.S.S = form.S.S.to(precision).contiguous();
  if (form.beyond.defined()) form.beyond = form.beyond.reshape(-1);
  return form;
}

/// What the run's own arithmetic may be off by, per size of the numbers that are added.
struct Allowance {
  double weights, terms, least, parts;
  static Allowance of(at::ScalarType dtype) {
    return dtype == at::kDouble ? Allowance{1e-14, 1e-9, 1e-300, 1e-12} : Allowance{1e-6, 2e-3, 1e-37, 1e-5};
  }
};

/// Parameters, optimizer memory and average between two steps.
struct State {
  Tensors weights, memory, average;
  Tensors exact_memory;  ///< float64, flat: m carried without rounding since the stretch began
};

/// û: the gradient of the loss after clipping.
Tensor clipped(const StepTrace& trace, size_t l, Tensor gradient) {
  const LinearForm& form = trace.form[l];
  if (!trace.regulariser.empty()) gradient = gradient + trace.regulariser[l];
  if (form.kappa != 1) gradient = gradient * form.kappa;
  return form.M.defined() ? gradient * form.M : gradient;
}

/// Of one step, one per parameter, flat, in the evaluation precision.
struct Gradients {
  Tensors sum;           ///< Σ_i b_i g_i
  Tensors own;           ///< what autograd gave the optimizer; undefined where no form can enlarge what the two are off by
  bool of_again = false; ///< `sum` is another precision's (coupled passes run again)
};

/// What a step's rounding was made of, and the rounding.
struct Rounded {
  StepNumbers numbers;
  Tensor exact_memory, rho;
  StepSizes sizes;
};

/// A second look at a step's rounding where D∘m and E∘u may cancel in the update (Lion, where its c is small): what is left of them is
/// known no better than m and u themselves are.  @param allowed  by the first look   @return the largest share of what this one allows
double share_of_cancelled(const LinearForm& form, const Rounded& r, double allowed, double parts) {
  const Tensor D = form.D.diagonal.to(at::kDouble), E = form.E.diagonal.to(at::kDouble), m = flat64(r.numbers.m1);
  const Tensor u = flat64(r.numbers.u) + flat64(r.numbers.w0) * form.omega_c;
  const Tensor own = flat64(r.rho) + D * (m - r.exact_memory);  // with the run's own memory
  return largest(own / ((D.abs() * largest(m) + E.abs() * largest(u)) * parts + allowed));
}

}  // namespace

struct Tracer::Impl {
  Impl(const Recording& recording, const Learner& learner, const Dataset& data, Options options)
      : recording(recording), model(learner.model), options(options), replay(recording, learner, data),
        coupled_passes(model, replay.trainer().objective(), {options.precision, options.push_memory, options.check}) {}

  const Recording& recording;
  Model& model;
  Options options;
  Replay replay;
  Tensors live_parameters, live_buffers;  ///< the run's own storage: queries bind the model to other weights in between
  double largest_mismatch = 0;
  int64_t first_drift = -1;
  bool probed = false, coupled = options.statistics;
  CoupledPasses coupled_passes;

  void go_to(int64_t s);
  State state() const;
  StepTrace trace_step(const State& before, std::vector<Gradients>& gradients);
  std::vector<State> trace_steps(int64_t begin, int64_t end, std::vector<StepTrace>& steps, std::vector<Gradients>& gradients);
  void note_drift(int64_t s);
  Tensor sum_of_gradients(const StepTrace& trace, size_t l) const;
  void check_batch(const StepTrace& trace, size_t l, const Tensor& sum, const Tensors& batch_gradients) const;
  void check_in_half(const StepTrace& trace, const Tensors& sums, const Tensors& batch_gradients) const;
  void roundings(StepTrace& trace, size_t l, const State& before, State& after, const Gradients& gradients);
  double share_of_allowed(const LinearForm& form, const Rounded& rounded) const;
  void end_at_checkpoint(PathSegment& segment, State& last, int64_t end);
};

Tracer::Tracer(const Recording& recording, const Learner& learner, const Dataset& data, Options options)
    : impl_(new Impl(recording, learner, data, options)) {
  impl_->live_parameters = copies(values(learner.model.parameters()));
  impl_->live_buffers = copies(values(learner.model.buffers()));
}
Tracer::~Tracer() = default;
bool Tracer::coupled() const { return impl_->coupled; }
CoupledPasses& Tracer::coupled_passes() { return impl_->coupled_passes; }
double Tracer::largest_mismatch() const { return impl_->largest_mismatch; }
int64_t Tracer::first_drift() const { return impl_->first_drift; }
const Objective& Tracer::objective() const { return impl_->replay.trainer().objective(); }

void Tracer::put_into(SweepState& state) const {
  state.put("tracer/largest_mismatch", impl_->largest_mismatch);
  state.put("tracer/first_drift", static_cast<double>(impl_->first_drift));
  state.put("tracer/coupled", impl_->coupled ? 1. : 0.);
}

void Tracer::take_from(const SweepState& state) {
  impl_->largest_mismatch = std::max(impl_->largest_mismatch, state.number("tracer/largest_mismatch"));
  impl_->coupled = impl_->coupled || state.number("tracer/coupled") != 0;
  const auto drift = static_cast<int64_t>(state.number("tracer/first_drift"));
  if (drift >= 0 && (impl_->first_drift < 0 || drift < impl_->first_drift)) impl_->first_drift = drift;
}

void Tracer::Impl::note_drift(int64_t s) {
  if (options.strict) {
    throw ReplayMismatch(fmt::format("replay of {} differs from the recording at step {} (strict: stopped)", recording.folder(), s));
  }
  if (first_drift < 0 || s < first_drift) first_drift = s;
}

/// The state before step s, from the last checkpoint at or before it.
void Tracer::Impl::go_to(int64_t s) {
  model.bind_parameters(live_parameters);
  model.bind_buffers(live_buffers);
  const std::vector<int64_t> checkpoints = recording.checkpoint_steps();
  replay.restore(*std::prev(std::upper_bound(checkpoints.begin(), checkpoints.end(), s)));
  while (replay.position() < s) {
    const Timed timed(options.timings, "replay up to the stretch");
    if (!replay.advance().exact) note_drift(replay.position() - 1);
  }
}

State Tracer::Impl::state() const {
  State now{copies(values(model.parameters())), copies(replay.trainer().optimizer().memory()), {}, {}};
  if (options.average) now.average = copies(values(replay.trainer().average()->values()));
  return now;
}

/// Σ_i b_i g_i [W] in the evaluation precision.
Tensor Tracer::Impl::sum_of_gradients(const StepTrace& trace, size_t l) const {
  const Tensor& w = trace.weights[l];
  Tensor sum;
  for (const Pass& pass : trace.passes) {
    const Tensor part = pass.coupled ? pass.coupled->gradient[l]
                                     : sum_over_examples(pass.gradients.parameters[l], w.numel(), w.options().dtype(options.precision));
    if (part.defined()) sum = sum.defined() ? sum + part : part;
  }
  return sum.defined() ? sum : at::zeros({w.numel()}, w.options().dtype(options.precision));
}

// Invariant 3: Σ_i b_i g_i is the gradient autograd computed for the batch.
void Tracer::Impl::check_batch(const StepTrace& trace, size_t l, const Tensor& sum, const Tensors& batch_gradients) const {
  const bool float64 = live_parameters[l].scalar_type() == at::kDouble;
  const Tensor& batch_gradient = batch_gradients[l];
  const Difference d = largest_difference(sum, batch_gradient.defined() ? batch_gradient.reshape(-1) : at::zeros_like(sum));
  const bool in_half = std::any_of(trace.passes.begin(), trace.passes.end(), [](const Pass& pass) { return pass.in_half; });
  if (d.off <= (in_half ? 0.1 : float64 ? 1e-10 : 2e-3) * std::max(d.of_a, d.of_b)) return;
  // A gradient that cancels to nothing leaves only the rounding of its terms.
  double terms = 0;
  for (const Pass& pass : trace.passes) {
    // Coupled: no terms to look at; those of a bias before batch norm are as large as its neighbours' gradients.
    for (size_t k = 0; pass.coupled && k < batch_gradients.size(); ++k) {
      if (batch_gradients[k].defined()) terms = std::max(terms, largest(batch_gradients[k]));
    }
    if (pass.coupled) continue;
    for (const Factor& f : pass.gradients.parameters[l]) {
      terms = std::max(terms, largest(f.left) * (f.right.defined() ? largest(f.right) : 1) * double(f.terms()));
    }
  }
  if (d.off <= terms * (in_half ? 1e-2 : float64 ? 1e-14 : 1e-5)) return;
  throw InvariantViolated(fmt::format("step {}: the per-example gradients of parameter '{}' do not add up to the batch's gradient "
                                      "(off by {:.2g}, gradient at most {:.2g}); the parameter is used in a way the tape does not see",
                                      trace.step, model.parameters()[l].name, d.off, std::max(d.of_a, d.of_b)));
}

// The same where coupled passes were run again in whole precision and training in half: numbers may differ by much where little is left of
// them (a relu that closed in bfloat16), and that is booked as rounding; the gradient as a whole may not.
void Tracer::Impl::check_in_half(const StepTrace& trace, const Tensors& sums, const Tensors& batch_gradients) const {
  double off = 0, size = 0;
  for (size_t l = 0; l < sums.size(); ++l) {
    const Tensor own = batch_gradients[l].defined() ? flat64(batch_gradients[l]) : at::zeros_like(flat64(sums[l]));
    off += (flat64(sums[l]) - own).square().sum().item<double>();
    size += own.square().sum().item<double>();
  }
  if (off <= 0.25 * size) return;
  throw InvariantViolated(fmt::format("step {}: the gradient of the batch, computed again in {}, is off the one of training in half precision by {:.2g} of its "
                                      "size; a part of the forward pass is not the same in both", trace.step, c10::toString(options.precision), std::sqrt(off / size)));
}

// ρ, m̂ and the average's rounding, from the stored numbers, with the coefficients the sweep will use.
void Tracer::Impl::roundings(StepTrace& trace, size_t l, const State& before, State& after, const Gradients& gradients) {
  const auto flat = [](const Tensors& t, size_t k) { return t.empty() ? Tensor() : t[k].detach().reshape(-1); };
  const Tensor w = flat(before.weights, l), next = flat(after.weights, l);
  Rounded r{{w, next, flat(before.memory, l), flat(after.memory, l), clipped(trace, l, gradients.sum[l])},
            before.memory.empty() ? Tensor() : before.exact_memory[l],
            at::empty_like(w, w.options().dtype(options.precision)),
            {}};
  r.sizes = step_rounding(trace.form[l], r.numbers, r.exact_memory, r.rho);
  if (r.exact_memory.defined()) after.exact_memory[l] = r.exact_memory;  // carried on in place
  trace.rounding.push_back(r.rho);
  if (options.average) {
    const Tensor mean = flat64(before.average[l]);
    trace.average_rounding.push_back((flat64(after.average[l]) - mean - (flat64(next) - mean) * trace.share_of_new).to(options.precision));
  }
  double share = gradients.of_again ? std::numeric_limits<double>::infinity() : share_of_allowed(trace.form[l], r);
  if (!(share <= 1) && gradients.own[l].defined()) {
    // The form holds of the gradient that the optimizer was given. Where examples cancel to nothing, the sum is off that by as much as it
    // is, and an optimizer that divides by its size moves the weights by the difference.
    Rounded own{{w, next, r.numbers.m0, r.numbers.m1, clipped(trace, l, gradients.own[l])},
                r.numbers.m0.defined() ? flat64(r.numbers.m0).clone() : Tensor(),
                at::empty_like(r.rho),
                {}};
    own.sizes = step_rounding(trace.form[l], own.numbers, own.exact_memory, own.rho);
    share = share_of_allowed(trace.form[l], own);
  }
  largest_mismatch = std::max(largest_mismatch, trace.exact ? share : 0);
  if (options.check && trace.exact && !(share <= 1)) {
    throw InvariantViolated(fmt::format("step {}: the optimizer's linear form does not give the update of parameter '{}' "
                                        "(off by {:.2g} times what rounding allows)", trace.step, model.parameters()[l].name, share));
  }
}

/// How far a step is off its form, as a share of what rounding may do.
double Tracer::Impl::share_of_allowed(const LinearForm& form, const Rounded& r) const {
  const Allowance allowance = Allowance::of(r.numbers.w0.scalar_type());
  const double allowed = allowance.weights * r.sizes.weights + allowance.terms * r.sizes.expected + allowance.least;
  double of_update = r.sizes.rounding / allowed;
  if (of_update > 1 && r.exact_memory.defined() && form.D.is_diagonal() && form.E.is_diagonal()) {
    of_update = share_of_cancelled(form, r, allowed, allowance.parts);
  }
  return std::max(of_update, r.sizes.memory_rounding / (allowance.terms * r.sizes.memory + allowance.least));
}

/// Repeats one step and catches it; the roundings wait for the state after it.
StepTrace Tracer::Impl::trace_step(const State& before, std::vector<Gradients>& gradients) {
  StepTrace trace;
  trace.step = replay.position();
  trace.weights = before.weights;
  trace.average = before.average;
  trace.buffers = copies(values(model.buffers()));
  if (const Regulariser* regulariser = replay.trainer().regulariser()) {
    for (const Tensor& pull : regulariser->gradient(values(model.parameters()))) {
      trace.regulariser.push_back(pull.detach().reshape(-1).to(options.precision));
    }
  }
  Watch watch({options.precision, options.path_kernel, options.check && !probed, coupled});
  probed = true;
  {
    const Timed timed(options.timings, "replay with gradients caught");
    const Replay::Repeated repeated = replay.advance(&watch);
    trace.indices = repeated.record.indices;
    trace.exact = repeated.exact;
  }
  const Timed timed(options.timings, "linear form and checks");
  if (!trace.exact) note_drift(trace.step);
  trace.passes = std::move(watch.passes);
  Gradients found;
  bool coupled_in_half = false;
  for (const Pass& pass : trace.passes) {
    found.of_again = found.of_again || pass.in_half;
    coupled_in_half = coupled_in_half || (pass.coupled && pass.in_half);
    if (!pass.coupled || !pass.coupled->gradient.empty()) continue;
    coupled_passes.find_gradient(trace.weights, *pass.coupled);
    found.of_again = true;
  }
  if (options.average) trace.share_of_new = replay.trainer().average()->share_of_new(trace.weights.front().scalar_type());
  for (const LinearForm& form : replay.trainer().optimizer().linear_form()) trace.form.push_back(in_precision(form, options.precision));
  for (size_t l = 0; l < trace.weights.size(); ++l) {
    found.sum.push_back(sum_of_gradients(trace, l));
    if (options.check && !coupled_in_half) check_batch(trace, l, found.sum.back(), watch.batch_gradient);
    const Tensor& own = watch.batch_gradient[l];
    const bool enlarges = trace.form[l].E.is_diagonal() || trace.form[l].N.is_diagonal();
    if (!found.of_again && !enlarges) found.own.emplace_back();
    else found.own.push_back(own.defined() ? own.to(options.precision).reshape(-1) : at::zeros_like(found.sum.back()));
  }
  if (options.check && coupled_in_half) check_in_half(trace, found.sum, watch.batch_gradient);
  gradients.push_back(std::move(found));
  return trace;
}

/// Where replay drifted, the recorded path goes on from its own checkpoint: the last step ends there.
void Tracer::Impl::end_at_checkpoint(PathSegment& segment, State& last, int64_t end) {
  replay.restore(end);
  last = state();
  segment.end_weights = last.weights;
  segment.end_average = last.average;
  segment.end_buffers = copies(values(model.buffers()));
}

/// @return the states before every step and after the last
std::vector<State> Tracer::Impl::trace_steps(int64_t begin, int64_t end, std::vector<StepTrace>& steps, std::vector<Gradients>& gradients) {
  go_to(begin);
  std::vector<State> states = {state()};
  while (replay.position() < end) {
    steps.push_back(trace_step(states.back(), gradients));
    states.push_back(state());
  }
  return states;
}

PathSegment Tracer::segment(int64_t begin, int64_t end) {
  Impl& I = *impl_;
  PathSegment out;
  std::vector<Gradients> gradients;  // until the state after the step is known
  std::vector<State> states;
  try {
    states = I.trace_steps(begin, end, out.steps, gradients);
  } catch (const CoupledBatch&) {
    I.coupled = true;
    out.steps.clear();
    gradients.clear();
    states = I.trace_steps(begin, end, out.steps, gradients);
  }
  out.begin_memory = states.front().memory;
  out.end_weights = states.back().weights;
  out.end_buffers = copies(values(I.model.buffers()));
  out.end_average = states.back().average;
  const bool exact = std::all_of(out.steps.begin(), out.steps.end(), [](const StepTrace& t) { return t.exact; });
  const std::vector<int64_t> checkpoints = I.recording.checkpoint_steps();
  if (!exact && std::binary_search(checkpoints.begin(), checkpoints.end(), end)) I.end_at_checkpoint(out, states.back(), end);
  const Timed timed(I.options.timings, "linear form and checks");
  for (const Tensor& m : states.front().memory) states.front().exact_memory.push_back(flat64(m).clone());
  for (size_t k = 0; k < out.steps.size(); ++k) {
    states[k + 1].exact_memory.resize(states[k].exact_memory.size());
    for (size_t l = 0; l < out.steps[k].weights.size(); ++l) I.roundings(out.steps[k], l, states[k], states[k + 1], gradients[k]);
    states[k].exact_memory.clear();
  }
  for (size_t l = 0; l < states.back().exact_memory.size(); ++l)
    out.end_memory_jump.push_back((flat64(states.back().memory[l]) - states.back().exact_memory[l]).to(I.options.precision));
  return out;
}

}  // namespace pathkernel
