#include <pathkernel/sweep/sweep.h>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/where.h>
#include <fmt/format.h>
#include <pathkernel/core/bytes.h>
#include <pathkernel/core/error.h>
#include <pathkernel/sweep/chunk_sweep.h>
#include <pathkernel/sweep/evaluation.h>

#include <algorithm>

namespace pathkernel {
namespace {

/// Bytes for tangents of coupled passes.
int64_t push_memory(const SweepOptions& options) { return std::min<int64_t>(PushOptions().memory, options.memory / 8); }

/// How many inputs at a time: adjoints, both tapes and the segment gradient of a chunk fit the memory left beside the traces.
int64_t inputs_per_chunk(const SweepOptions& options, const Tensors& weights, int64_t adjoint_numbers, int64_t tape_bytes_per_input, int64_t trace_bytes, int64_t K) {
  const int64_t item = options.precision == at::kDouble ? 8 : 4;
  const int64_t dense = adjoint_numbers * item * K;
  int64_t widest = 0;
  for (const Tensor& w : weights) widest = std::max<int64_t>(widest, w.numel());
  const int64_t per_input = dense + 4 * tape_bytes_per_input + (K + 1) * widest * item;
  const int64_t left = options.memory - trace_bytes;
  if (left < per_input) {
    throw InvalidInput(fmt::format("explain: one query needs {} and the trace of a stretch of steps {}, but --memory allows {}; allow more, or record with more checkpoints",
                                   print_bytes(per_input), print_bytes(trace_bytes), print_bytes(options.memory)));
  }
  return std::max<int64_t>(1, left / per_input);
}

/// The ledger itself is held whole until it is written.
void check_ledger_fits(const Recording& recording, const Window& window, const Dataset& data, int64_t layers, int64_t queries, int64_t memory) {
  const int64_t T = window.steps(), N = data.size(), C = data.is_classification() ? int64_t(data.class_names.size()) : 1;
  int64_t draws = 0;
  for (int64_t s = window.from; s < window.until; ++s) draws += recording.step(s).indices.size(0);
  const int64_t bytes = queries * (8 * N + 4 * draws + 4 * T * (layers + C) + 16 * T);
  if (bytes > memory) {
    throw InvalidInput(fmt::format("explain: the ledger of {} queries over {} draws of examples takes {}, but --memory allows {}; ask fewer queries at a time, or allow more",
                                   queries, draws, print_bytes(bytes), print_bytes(memory)));
  }
}

/// Refused here, where the reason is known, rather than carried into numbers that mean nothing.
void check_queries(const Queries& queries, const Dataset& data) {
  for (const Tensor& inputs : queries.inputs) {
    if (at::isFloatingType(inputs.scalar_type()) && !inputs.isfinite().all().item<bool>()) throw InvalidInput("explain: the queries' inputs hold NaN or infinite numbers");
  }
  const Tensor& labels = queries.targets;
  if (!labels.defined() || at::isFloatingType(labels.scalar_type()) || !data.is_classification()) return;
  const int64_t least = labels.min().item<int64_t>(), most = labels.max().item<int64_t>(), classes = int64_t(data.class_names.size());
  if (least < 0 || most >= classes) {
    throw InvalidInput(fmt::format("explain: the queries' labels go from {} to {}, but the training data have {} classes (0 to {})", least, most, classes, classes - 1));
  }
}

/// Domingos' K(x, x_i) is a number only where the network gives one (theory 1).
void check_path_kernel(Model& model, const Dataset& data) {
  const at::AutoGradMode off(false);
  const Tensor one = data.inputs.narrow(0, 0, 1).to(model.parameters().front().tensor.options());
  const int64_t outputs = model.forward({one}, Mode::eval).front().numel();
  if (outputs != 1) throw InvalidInput(fmt::format("explain: the path kernel K(x, x_i) needs a network with one output, and this one gives {}; leave out --path-kernel", outputs));
}

/// An account that overflowed proves nothing: a share of infinity would look like none.
void check_finite(const Ledger& ledger) {
  const Tensor bad = (ledger.residual + ledger.draws.amax(0) - ledger.draws.amin(0)).isfinite().logical_not();  // draws are float32: they overflow first
  if (!bad.any().item<bool>()) return;
  const QueryInfo& query = ledger.queries[size_t(bad.to(at::kByte).argmax().item<int64_t>())];
  throw InvalidInput(fmt::format("explain: the account of {} ({}) leaves the finite numbers: the run's weights or outputs grew too large; "
                                 "train again with a smaller --lr", query.input, query.measurement));
}

Certificate certify(const Ledger& ledger, const Books& books, const Uncertainty& uncertainty, const CorrectionShares& shares, const Tracer& tracer, int64_t sampled) {
  Certificate c;
  c.quadrature_defect = books.quadrature_defect();
  const auto share = [](const Tensor& part, const Tensor& of) { return at::where(of > 0, part.abs() / at::where(of > 0, of, 1), 0); };
  const Tensor change = (ledger.final - ledger.initial).abs();
  c.residual_to_contributions = share(ledger.residual, ledger.contributions.abs().sum(0));
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
    throw InvalidInput(fmt::format("explain: steps {} to {} are no window of this run; --from must lie below --until, and --until at {} (the number of steps) or below",
                                   window.from, window.until, T));
  }
  if (options.stride < 1) throw InvalidInput(fmt::format("explain: --stride {} should be 1 or more", options.stride));
  return window;
}

/// Is the averaged network asked about?
bool asks_average(const Recording& recording, const SweepOptions& options) {
  const bool kept = recording.manifest().ema != 0;
  if (options.network == SweepOptions::Asked::average && !kept) throw InvalidInput("explain: the run kept no average of its weights (train --ema); ask about its weights");
  return kept && options.network != SweepOptions::Asked::weights;
}

void check_asked(const Recording& recording, Model& model, const Dataset& data, const Queries& queries, const SweepOptions& options) {
  if (queries.inputs.empty() || queries.inputs.front().size(0) == 0) throw InvalidInput("explain: no queries were given");
  if (recording.manifest().dtype == "double" && options.precision == at::kFloat) {
    throw InvalidInput("explain: a run trained in float64 is evaluated in float64; use --precision double");
  }
  if (model.parameters().empty()) throw InvalidInput("explain: the model has no parameters");
  check_queries(queries, data);
  if (options.path_kernel) check_path_kernel(model, data);
}

/// The work of one call of sweep().
class Sweeping {
 public:
  Sweeping(const Recording& recording, Model& model, const Dataset& data, const Queries& queries, const SweepOptions& options)
      : recording_(recording), model_(model), data_(data), queries_(queries), options_(options), window_(window_of(recording, options)),
        average_(asks_average(recording, options)),
        tracer_(recording, model, data, {options.precision, average_, options.path_kernel, options.check, options.timings, options.strict, push_memory(options)}),
        measurement_(make_measurement(options.measure, tracer_.objective(), data.class_names)) {
    const at::Device device = model.parameters().front().tensor.device();
    for (const Tensor& t : in(options.precision, queries.inputs)) inputs_.push_back(t.to(device));
    if (queries.targets.defined()) targets_ = in(options.precision, {queries.targets}).front().to(device);
    const PathSegment end = tracer_.at(window_.until);
    final_ = {in(options.precision, end.end_evaluated()), in(options.precision, end.end_buffers)};
    K_ = (ask(0, 1), measurement_->per_input());
  }

  Ledger run(const Progress& progress) {
    const int64_t n = inputs_.front().size(0), Q = n * K_, T = window_.steps();
    std::vector<int64_t> layer_of;
    check_ledger_fits(recording_, window_, data_, int64_t(Books::layer_names(model_.parameters(), &layer_of).size()), Q, options_.memory);
    Ledger ledger;
    Books books(ledger, recording_, window_, model_.parameters(), data_, Q, options_.path_kernel);
    describe_settings(ledger);
    const int64_t chunk = std::min(n, chunk_size()), chunks = (n + chunk - 1) / chunk;
    Uncertainty uncertainty(Q);
    CorrectionShares corrections;
    ChunkSweep::Shared shared{recording_, model_, options_, window_, tracer_, *measurement_, ledger, books, uncertainty, corrections};
    for (int64_t c = 0; c < chunks; ++c) {
      const int64_t first = c * chunk, count = std::min(chunk, n - first);
      const Tensors outputs = ask(first, count);
      ChunkSweep(shared, first, rows(inputs_, first, count)).run(final_, [&](int64_t done) {
        if (progress) progress("sweeping", c * T + done, chunks * T);
      });
      describe_queries(outputs, first, count, ledger);
    }
    books.close();
    ledger.settings.coupled = tracer_.coupled();
    check_finite(ledger);
    ledger.certificate = certify(ledger, books, uncertainty, corrections, tracer_, std::min(options_.sampled_steps, T));
    return ledger;
  }

 private:
  /// Fixes what is asked of these inputs by the network at the window's end (the predicted class).
  Tensors ask(int64_t first, int64_t count) {
    const at::AutoGradMode off(false);
    model_.bind_parameters(final_.weights);
    model_.bind_buffers(final_.buffers);
    const Tensors outputs = model_.forward(rows(inputs_, first, count), Mode::eval);
    measurement_->prepare(outputs, targets_.defined() ? targets_.narrow(0, first, count) : targets_);
    return outputs;
  }

  /// A first look at bytes: of a tape per input, of a stretch of traces, of the optimizer's states.
  int64_t chunk_size() {
    const PathSegment one = tracer_.segment(window_.from, window_.from + 1);
    const StepTrace& step = one.steps.front();
    int64_t longest = 0, per_step = 0;
    for (const Window& stretch : stretches(window_, options_.stride, recording_.checkpoint_steps())) longest = std::max(longest, stretch.steps());
    int64_t pushed = 0;  // what one coupled pass takes when it is run again
    for (const Pass& pass : step.passes) {
      per_step += pass.coupled ? pass.coupled->bytes() : pass.gradients.bytes();
      if (pass.coupled) pushed = std::max(pushed, push_memory(options_) + tracer_.coupled_passes().tape_bytes(step.weights, pass.coupled));
    }
    for (const Tensor& w : step.weights) per_step += int64_t(w.nbytes()) * (average_ ? 6 : 4);
    if (tracer_.coupled() && options_.path_kernel) {
      throw InvalidInput("explain: the path kernel K(x, x_i) needs examples that train each for itself, and this run's batches couple them (batch norm in training mode, "
                         "contrastive losses); leave out --path-kernel");
    }
    ask(0, 1);
    const QueryPath probe(model_, rows(inputs_, 0, 1), *measurement_);
    const int64_t tape_bytes = probe.at(final_.weights, final_.buffers)->tape.bytes();
    const int64_t numbers = Adjoint::numbers_per_query(step.form, final_.weights, options_.convention, average_, tracer_.coupled());
    return inputs_per_chunk(options_, final_.weights, numbers, tape_bytes, per_step * longest + pushed, K_);
  }

  void describe_settings(Ledger& ledger) const {
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
    if (const Tensor flat = inputs_.front().flatten(1); flat.size(1) <= 16) ledger.query_inputs = flat.to(at::kCPU, at::kDouble).repeat_interleave(K_, 0);
  }

  void describe_queries(const Tensors& outputs, int64_t first, int64_t count, Ledger& ledger) const {
    const Tensor& scores = outputs[0];
    const Tensor predicted = data_.is_classification() && scores.numel() > count ? scores.flatten(1).argmax(1).cpu() : Tensor();
    for (int64_t i = 0; i < count; ++i) {
      for (int64_t k = 0; k < K_; ++k) {
        QueryInfo info = queries_.info.empty() ? QueryInfo{} : queries_.info[size_t(first + i)];
        info.measurement = measurement_->describe(i, k);
        if (predicted.defined()) info.predicted = predicted[i].item<int64_t>();
        ledger.queries.push_back(std::move(info));
      }
    }
  }

  const Recording& recording_;
  Model& model_;
  const Dataset& data_;
  const Queries& queries_;
  const SweepOptions& options_;
  Window window_;
  bool average_;
  Tracer tracer_;
  std::unique_ptr<Measurement> measurement_;
  Tensors inputs_;
  Tensor targets_;
  Network final_;
  int64_t K_ = 1;
};

/// How far stride K moves the shares: a few queries swept again with stride 1.  [m]
Tensor stride_deviation(const Ledger& ledger, const Recording& recording, Model& model, const Dataset& data, const Queries& queries, SweepOptions options) {
  const int64_t few = std::min<int64_t>(4, queries.inputs.front().size(0));
  Queries some = queries;
  some.inputs = rows(queries.inputs, 0, few);
  if (queries.targets.defined()) some.targets = queries.targets.narrow(0, 0, few);
  if (!queries.info.empty()) some.info.resize(size_t(few));
  options.stride = 1;
  options.sampled_steps = 0;
  const Tensor exact = Sweeping(recording, model, data, some, options).run({}).contributions;
  const Tensor off = (ledger.contributions.narrow(1, 0, exact.size(1)) - exact).norm(2, 0), size = exact.norm(2, 0);
  return at::where(size > 0, off / at::where(size > 0, size, 1), 0);
}

}  // namespace

Ledger sweep(const Recording& recording, Model& model, const Dataset& data, const Queries& queries, const SweepOptions& options, const Progress& progress) {
  check_asked(recording, model, data, queries, options);
  Ledger ledger = Sweeping(recording, model, data, queries, options).run(progress);
  if (options.stride > 1) ledger.certificate.stride_deviation = stride_deviation(ledger, recording, model, data, queries, options);
  return ledger;
}

}  // namespace pathkernel
