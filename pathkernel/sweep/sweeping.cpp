#include <pathkernel/sweep/sweeping.h>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/where.h>
#include <fmt/format.h>
#include <pathkernel/core/error.h>

#include <algorithm>
#include <limits>

namespace pathkernel {
namespace {

/// Bytes for tangents of coupled passes.
int64_t push_memory(const SweepOptions& options) { return std::min<int64_t>(PushOptions().memory, options.memory / 8); }

/// An account that overflowed proves nothing: a share of infinity would look like none.
void check_finite(const Ledger& ledger) {
  Tensor sum = ledger.residual + ledger.total_size();
  if (ledger.draws.defined()) sum = sum + ledger.draws.amax(0) - ledger.draws.amin(0);  // float32: they overflow first
  const Tensor bad = sum.isfinite().logical_not();
  if (!bad.any().item<bool>()) return;
  const QueryInfo& query = ledger.queries[size_t(bad.to(at::kByte).argmax().item<int64_t>())];
  throw InvalidInput(fmt::format("explain: the account of {} ({}) leaves the finite numbers: the run's weights or outputs grew too large; "
                                 "train again with a smaller learning rate", query.input, query.measurement));
}

Certificate certify(const Ledger& ledger, const Books& books, const Uncertainty& uncertainty, const CorrectionShares& shares, const Tracer& tracer, int64_t sampled) {
  Certificate c;
  c.quadrature_defect = books.quadrature_defect();
  const auto share = [](const Tensor& part, const Tensor& of) { return at::where(of > 0, part.abs() / at::where(of > 0, of, 1), 0); };
  const Tensor change = (ledger.final - ledger.initial).abs();
  const Tensor unexplained = ledger.total_size().eq(0).logical_and(ledger.residual.abs() > ledger.residual_of_rounding());
  c.residual_to_contributions = share(ledger.residual, ledger.total_size()).masked_fill(unexplained, std::numeric_limits<double>::infinity());
  c.residual_to_change = share(ledger.residual, change);
  c.rounding_to_change = share(ledger.rounding, change);
  if (sampled > 0) c.split_uncertainty = uncertainty.estimate();
  c.sampled_steps = sampled;
  double correction = 0, product = 0;
  for (const auto& [name, s] : shares) correction += s.correction, product += s.product;
  c.correction_share = product > 0 ? correction / product : 0;
  c.optimizer_mismatch = tracer.largest_mismatch();
  c.optimizer_bound = 1;
  c.first_drift = tracer.first_drift();
  c.replay_exact = c.first_drift < 0;
  return c;
}

/// The window asked for, or why there is none.
Window window_of(const Recording& recording, const SweepOptions& options) {
  const int64_t T = recording.steps();
  const Window window{options.from, options.until < 0 ? T : options.until};
  if (T == 0) throw InvalidInput("explain: the recording " + recording.folder() + " has no steps");
  if (window.from < 0 || window.from >= window.until || window.until > T) {
    throw InvalidInput(fmt::format("explain: steps {} to {} are no window of this run; it must begin below its end, and end at {} (the number of steps) or below",
                                   window.from, window.until, T));
  }
  if (options.stride < 1) throw InvalidInput(fmt::format("explain: stride {} should be 1 or more", options.stride));
  return window;
}

/// Is the averaged network asked about?
bool asks_average(const Recording& recording, const SweepOptions& options) {
  const bool kept = recording.manifest().keeps_average();
  if (options.network == SweepOptions::Asked::average && !kept) throw InvalidInput("explain: the run kept no average of its weights (ema, average); ask about its weights");
  return kept && options.network != SweepOptions::Asked::weights;
}

}  // namespace

Sweeping::Sweeping(const Recording& recording, const Learner& learner, const Dataset& data, const Queries& queries, const SweepOptions& options)
    : recording_(recording), model_(learner.model), data_(data), queries_(queries), options_(options), window_(window_of(recording, options)),
      batch_(recording.step(window_.from).indices.size(0)),
      average_(asks_average(recording, options)),
      tracer_(recording, learner, data, {options.precision, average_, options.path_kernel, options.statistics, options.check, options.timings, options.strict, push_memory(options)}),
      measurement_(new_measurement()) {
  const at::Device device = model_.parameters().front().tensor.device();
  for (const Tensor& t : in(options.precision, queries.inputs)) inputs_.push_back(t.to(device));
  if (queries.targets.defined()) targets_ = in(options.precision, {queries.targets}).front().to(device);
  const PathSegment end = tracer_.at(window_.until);
  final_ = {in(options.precision, end.end_evaluated()), in(options.precision, end.end_buffers)};
  K_ = (ask(*measurement_, rows(inputs_, 0, 1), targets(0, 1)), measurement_->per_input());
}

SweepPlan Sweeping::plan() {
  SweepPlan plan;
  plan.memory = options_.memory;
  plan.per_input = K_;
  plan.sizes = ledger_sizes();
  plan.fit_ledger(options_.keep, options_.most_numbers);
  look(plan);
  plan.fit_chunks();
  return plan;
}

Ledger Sweeping::run(const Progress& progress) {
  const SweepPlan plan = this->plan();
  if (options_.planned) options_.planned(plan);
  const int64_t n = plan.inputs(), Q = plan.sizes.queries, T = window_.steps(), chunk = plan.inputs_per_chunk;
  Ledger ledger;
  Books books(ledger, recording_, window_, model_.parameters(), data_, Q, plan.keep, options_);
  describe_settings(ledger);
  Uncertainty uncertainty(Q);
  CorrectionShares corrections;
  ChunkSweep::Shared shared{recording_, model_, options_, window_, batch_, tracer_, ledger, books, uncertainty, corrections};
  const SweepState* kept = take_up(shared, chunk);
  const int64_t done = kept != nullptr ? int64_t(kept->number("chunks done")) : 0;
  for (int64_t c = 0; c < plan.chunks; ++c) {
    const int64_t first = c * chunk, count = std::min(chunk, n - first);
    QueryChunk queries = asked(first, count, plan, ledger);
    if (c < done) continue;
    const SweepState* within = c == done && kept != nullptr && kept->number("stretches left") > 0 ? kept : nullptr;
    books.begin_chunk(first * K_, count * K_, within);
    ChunkSweep walk(shared, first, std::move(queries));
    walk.run(final_, within, [&](int64_t steps) {
      if (progress) progress("sweeping", c * T + steps, plan.chunks * T);
    }, [&](int64_t stretches_left) { keep(shared, chunk, c, stretches_left, &walk); });
    books.end_chunk();
    keep(shared, chunk, c + 1, 0, nullptr);
  }
  books.close();
  ledger.settings.coupled = tracer_.coupled();
  check_finite(ledger);
  ledger.certificate = certify(ledger, books, uncertainty, corrections, tracer_, std::min(options_.sampled_steps, T));
  return ledger;
}

/// Where the sweep stands: so many chunks are done and, of the next one (`walk`), all but so many stretches.
void Sweeping::keep(const ChunkSweep::Shared& shared, int64_t chunk, int64_t chunks_done, int64_t stretches_left, const ChunkSweep* walk) const {
  if (options_.keeper == nullptr || !options_.keeper->due()) return;
  SweepState state;
  state.put("inputs per chunk", double(chunk));
  state.put("chunks done", double(chunks_done));
  state.put("stretches left", double(stretches_left));
  shared.books.put_into(state);
  shared.uncertainty.put_into(state);
  shared.tracer.put_into(state);
  for (const auto& [name, share] : shared.corrections) state.put("corrections/" + name, at::tensor({share.correction, share.product}, at::kDouble));
  if (walk != nullptr) walk->put_into(state);
  options_.keeper->keep(state);
}

/// What an earlier call kept; nullptr: nothing.
const SweepState* Sweeping::take_up(ChunkSweep::Shared& shared, int64_t chunk) const {
  const SweepState* kept = options_.keeper == nullptr ? nullptr : options_.keeper->kept();
  if (kept == nullptr) return nullptr;
  if (kept->number("inputs per chunk") != double(chunk)) throw InvalidInput("sweep: the kept state is of a sweep with another number of inputs per chunk");
  shared.books.take_from(*kept);
  shared.uncertainty.take_from(*kept);
  shared.tracer.take_from(*kept);
  const std::string prefix = "corrections/";
  for (const NamedTensor& t : kept->tensors())
    if (t.name.starts_with(prefix)) shared.corrections[t.name.substr(prefix.size())] = {t.tensor[0].item<double>(), t.tensor[1].item<double>()};
  return kept;
}

LedgerSizes Sweeping::ledger_sizes() const {
  std::vector<int64_t> layer_of;
  LedgerSizes sizes{queries_.asked() * K_, data_.size(), 0, window_.steps()};
  for (int64_t s = window_.from; s < window_.until; ++s) sizes.draws += recording_.step(s).indices.size(0);
  sizes.layers = int64_t(Books::layer_names(model_.parameters(), &layer_of).size());
  sizes.classes = data_.is_classification() ? int64_t(data_.class_names.size()) : 1;
  sizes.features = Books::kept_features(data_.inputs);
  sizes.more_accounts = (options_.path_kernel ? 1 : 0) + (options_.statistics ? 1 : 0);
  return sizes;
}

/// A first look at bytes: of a tape per input, of a stretch of traces, of the optimizer's states.
void Sweeping::look(SweepPlan& plan) {
  const PathSegment one = tracer_.segment(window_.from, window_.from + 1);
  const StepTrace& step = one.steps.front();
  if (tracer_.coupled() && options_.path_kernel) {
    throw InvalidInput("explain: the path kernel K(x, x_i) needs examples that train each for itself, and this run's batches couple them (batch norm in training mode, "
                       "contrastive losses); leave the path kernel out");
  }
  const int64_t item = options_.precision == at::kDouble ? 8 : 4;
  int64_t per_step = 0, widest = 0, pushed = 0;  // pushed: what one coupled pass takes when it is run again
  for (const Window& stretch : stretches(window_, options_.stride, recording_.checkpoint_steps())) plan.longest_stretch = std::max(plan.longest_stretch, stretch.steps());
  for (const Pass& pass : step.passes) {
    per_step += pass.coupled ? pass.coupled->bytes() : pass.gradients.bytes();
    if (pass.coupled) pushed = std::max(pushed, push_memory(options_) + tracer_.coupled_passes().tape_bytes(step.weights, pass.coupled));
  }
  for (const Tensor& w : step.weights) {
    per_step += int64_t(w.nbytes()) * (average_ ? 7 : 5);
    widest = std::max<int64_t>(widest, w.numel());
    plan.parameters += w.numel();
  }
  plan.trace_bytes = per_step * plan.longest_stretch + pushed;
  plan.widest_bytes = widest * item;
  plan.gradient_bytes = plan.parameters * item;
  plan.adjoint_bytes = item * Adjoint::numbers_per_query(step.form, step.weights, batch_, options_.convention, average_, tracer_.coupled(), options_.precision);
  const QueryPath probe(model_, rows(inputs_, 0, 1), *measurement_);  // which was asked about this input
  plan.tape_bytes = probe.at(final_.weights, final_.buffers)->tape.bytes();
  for (const QuerySet& set : queries_.sets) plan.inputs_of_sets += set.size();
}

void Sweeping::describe_settings(Ledger& ledger) const {
  LedgerSettings& s = ledger.settings;
  s.recording = recording_.folder();
  s.rule = options_.rule.name();
  s.panels = options_.rule.panels;
  s.stride = options_.stride;
  s.regulariser = recording_.manifest().regulariser;
  s.network = average_ ? "average" : "weights";
  s.convention = options_.convention == Convention::propagate ? "propagate" : "ledger";
  s.precision = options_.precision == at::kDouble ? "double" : "float";
  s.measure = options_.measure;
  s.first_step = window_.from;
  s.last_step = window_.until;
  if (const Tensor flat = inputs_.front().flatten(1); flat.size(1) <= 16 && queries_.sets.empty()) ledger.query_inputs = flat.to(at::kCPU, at::kDouble).repeat_interleave(K_, 0);
}

}  // namespace pathkernel
