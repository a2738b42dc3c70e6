#include <pathkernel/sweep/sweep.h>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/where.h>
#include <fmt/format.h>
#include <pathkernel/core/bytes.h>
#include <pathkernel/core/error.h>
#include <pathkernel/sweep/books.h>
#include <pathkernel/sweep/trace.h>
#include <pathkernel/sweep/uncertainty.h>

#include <algorithm>

namespace pathkernel {
namespace {

Tensors in(at::ScalarType dtype, const Tensors& tensors) {
  Tensors out;
  for (const Tensor& t : tensors) out.push_back(at::isFloatingType(t.scalar_type()) ? t.detach().to(dtype) : t.detach());
  return out;
}

Tensors rows(const Tensors& tensors, int64_t first, int64_t count) {
  Tensors out;
  for (const Tensor& t : tensors) out.push_back(t.narrow(0, first, count));
  return out;
}

/// The final network, in the evaluation precision.
struct Final {
  Tensors weights, buffers;
};

/// One chunk of query inputs, walked from the last step to the first.
class ChunkSweep {
 public:
  ChunkSweep(const Recording& recording, Model& model, const SweepOptions& options, Tracer& tracer, Measurement& measurement, Books& books, Uncertainty& uncertainty,
             int64_t first_input, Tensors inputs)
      : recording_(recording), options_(options), tracer_(tracer), measurement_(measurement), books_(books), uncertainty_(uncertainty), first_input_(first_input),
        path_(model, std::move(inputs), measurement) {}

  void run(const Final& final, Ledger& ledger, CorrectionShares& shares, const std::function<void(int64_t)>& step_done) {
    const int64_t T = recording_.steps(), K = measurement_.per_input(), n = path_.inputs();
    const auto sampled = sampled_steps(T, options_.sampled_steps);
    std::vector<Adjoint> lanes;
    std::vector<Tensor> columns;
    for (int64_t k = 0; k < K; ++k) {
      lanes.emplace_back(n, options_.convention, at::TensorOptions().dtype(options_.precision).device(final.weights.front().device()));
      columns.push_back(at::arange(first_input_ * K + k, (first_input_ + n) * K, K, at::kLong));
    }
    Tensors weights1 = final.weights, buffers1 = final.buffers;
    auto point1 = path_.at(weights1, buffers1);
    books_.output(T, point1->values, first_input_);

    std::vector<int64_t> starts = recording_.checkpoint_steps();
    starts.erase(std::remove_if(starts.begin(), starts.end(), [&](int64_t s) { return s >= T; }), starts.end());
    for (size_t piece = starts.size(); piece-- > 0;) {
      const int64_t end = piece + 1 < starts.size() ? starts[piece + 1] : T;
      const PathSegment segment = tracer_.segment(starts[piece], end);
      for (int64_t k = 0; k < K && !segment.end_memory_jump.empty(); ++k) {
        ledger.rounding.index_add_(0, columns[size_t(k)], lanes[size_t(k)].memory_jump(segment.end_memory_jump).cpu());
      }
      for (size_t j = segment.steps.size(); j-- > 0;) {
        const StepTrace& trace = segment.steps[j];
        const Tensors weights0 = in(options_.precision, trace.weights), buffers0 = in(options_.precision, trace.buffers);
        auto point0 = [&] {
          const Timed timed(options_.timings, "queries forward");
          return path_.at(weights0, buffers0);
        }();
        books_.output(trace.step, point0->values, first_input_);
        const SegmentEnd from{weights0, buffers0, *point0}, to{weights1, buffers1, *point1};
        const std::vector<FactorSet> G = [&] {
          const Timed timed(options_.timings, "queries reverse");
          return segment_gradient(options_.rule, path_, from, to, &shares);
        }();
        const Tensors change = buffer_change(buffers0, buffers1);
        for (int64_t k = 0; k < K; ++k) {
          const StepAccount account = [&] {
            const Timed timed(options_.timings, "adjoint and contraction");
            return lanes[size_t(k)].step(trace, G[size_t(k)], change);
          }();
          const Timed timed(options_.timings, "books");
          books_.step(trace, account, columns[size_t(k)]);
        }
        const Timed timed(options_.timings, "uncertainty of the split");
        if (sampled[size_t(trace.step)]) {
          GradientRule refined = options_.rule;
          refined.panels *= 2;
          const std::vector<FactorSet> fine = segment_gradient(refined, path_, from, to);
          for (int64_t k = 0; k < K; ++k) uncertainty_.sample(trace, G[size_t(k)], fine[size_t(k)], columns[size_t(k)]);
        }
        weights1 = weights0;
        buffers1 = buffers0;
        point1 = std::move(point0);
        step_done(T - trace.step);
      }
    }
    for (int64_t k = 0; k < K; ++k) ledger.decay.index_add_(0, columns[size_t(k)], lanes[size_t(k)].initial_pull(weights1).cpu());
  }

 private:
  static Tensors buffer_change(const Tensors& before, const Tensors& after) {
    Tensors out;
    for (size_t b = 0; b < before.size(); ++b) {
      out.push_back(at::isFloatingType(before[b].scalar_type()) ? (after[b] - before[b]).reshape(-1) : Tensor());
    }
    return out;
  }

  const Recording& recording_;
  const SweepOptions& options_;
  Tracer& tracer_;
  Measurement& measurement_;
  Books& books_;
  Uncertainty& uncertainty_;
  int64_t first_input_;
  QueryPath path_;
};

Final final_state(const Recording& recording, Tracer& tracer, const SweepOptions& options, at::Device device) {
  // The last checkpoint at or before the end, replayed to the end where the run was interrupted after it.
  const std::vector<int64_t> starts = recording.checkpoint_steps();
  const int64_t T = recording.steps();
  if (!starts.empty() && starts.back() == T) {
    const Checkpoint end = recording.checkpoint(T);
    const auto there = [&](const NamedTensors& named) {
      Tensors out = in(options.precision, values(named));
      for (Tensor& t : out) t = t.to(device);
      return out;
    };
    return {there(end.parameters), there(end.buffers)};
  }
  const PathSegment last = tracer.segment(starts.back(), T);
  return {in(options.precision, last.end_weights), in(options.precision, last.end_buffers)};
}

/// How many inputs at a time: adjoints, both tapes and the segment gradient of a chunk fit the memory left beside the traces.
int64_t inputs_per_chunk(const SweepOptions& options, const Tensors& weights, const std::vector<LinearForm>& form, int64_t tape_bytes_per_input, int64_t trace_bytes, int64_t K) {
  const int64_t item = options.precision == at::kDouble ? 8 : 4;
  const int64_t dense = Adjoint::numbers_per_query(form, weights, options.convention) * item * K;
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
void check_ledger_fits(const Recording& recording, const Dataset& data, int64_t layers, int64_t queries, int64_t memory) {
  const int64_t T = recording.steps(), N = data.size(), C = data.is_classification() ? int64_t(data.class_names.size()) : 1;
  int64_t draws = 0;
  for (int64_t s = 0; s < T; ++s) draws += recording.step(s).indices.size(0);
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
  const int64_t outputs = model.forward({one}, Mode::eval).front().flatten(1).size(1);
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

Certificate certify(const Ledger& ledger, const Uncertainty& uncertainty, const CorrectionShares& shares, const Tracer& tracer, int64_t sampled) {
  Certificate c;
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

}  // namespace

Ledger sweep(const Recording& recording, Model& model, const Dataset& data, const Queries& queries, const SweepOptions& options, const Progress& progress) {
  const int64_t n = queries.inputs.empty() ? 0 : queries.inputs.front().size(0), T = recording.steps();
  if (n == 0) throw InvalidInput("explain: no queries were given");
  if (T == 0) throw InvalidInput("explain: the recording " + recording.folder() + " has no steps");
  if (!recording.manifest().dtype.empty() && recording.manifest().dtype == "double" && options.precision == at::kFloat) {
    throw InvalidInput("explain: a run trained in float64 is evaluated in float64; use --precision double");
  }
  check_queries(queries, data);
  Tracer tracer(recording, model, data, {options.precision, options.path_kernel, options.check, options.timings, options.strict});
  const NamedTensors parameters = model.parameters();
  if (parameters.empty()) throw InvalidInput("explain: the model has no parameters");
  if (options.path_kernel) check_path_kernel(model, data);
  const at::Device device = parameters.front().tensor.device();
  const Final final = final_state(recording, tracer, options, device);
  Tensors inputs;
  for (const Tensor& t : in(options.precision, queries.inputs)) inputs.push_back(t.to(device));
  auto measurement = make_measurement(options.measure, tracer.objective(), data.class_names);

  // The final network fixes what is asked (the predicted class) and how much room a query needs.
  const auto final_outputs = [&](const Tensors& some) {
    model.bind_parameters(final.weights);
    model.bind_buffers(final.buffers);
    const at::AutoGradMode off(false);
    return model.forward(some, Mode::eval);
  };
  const Tensor targets = queries.targets.defined() ? in(options.precision, {queries.targets}).front().to(device) : Tensor();
  measurement->prepare(final_outputs(inputs), targets);
  const int64_t K = measurement->per_input(), Q = n * K;

  Ledger ledger;
  std::vector<int64_t> layer_of;
  check_ledger_fits(recording, data, int64_t(Books::layer_names(parameters, &layer_of).size()), Q, options.memory);
  Books books(ledger, recording, parameters, data, Q, options.path_kernel);
  ledger.settings.recording = recording.folder();
  ledger.settings.rule = options.rule.name();
  ledger.settings.panels = options.rule.panels;
  ledger.settings.convention = options.convention == Convention::propagate ? "propagate" : "ledger";
  ledger.settings.precision = options.precision == at::kDouble ? "double" : "float";
  ledger.settings.measure = options.measure;
  ledger.settings.last_step = T;
  if (const Tensor flat = inputs.front().flatten(1); flat.size(1) <= 16) ledger.query_inputs = flat.to(at::kCPU, at::kDouble).repeat_interleave(K, 0);

  // A first look: bytes of a tape per input, of a stretch of traces, and the optimizer's form.
  std::vector<LinearForm> form;
  int64_t trace_bytes = 0, tape_bytes = 0;
  {
    const std::vector<int64_t> starts = recording.checkpoint_steps();
    const PathSegment one = tracer.segment(starts.front(), std::min<int64_t>(T, starts.front() + 1));
    form = one.steps.front().form;
    int64_t longest = 0;
    for (size_t k = 0; k < starts.size(); ++k) longest = std::max(longest, (k + 1 < starts.size() ? starts[k + 1] : T) - starts[k]);
    int64_t per_step = one.steps.front().gradients.bytes();
    for (const Tensor& w : one.steps.front().weights) per_step += int64_t(w.nbytes()) * 4;
    trace_bytes = per_step * longest;
    measurement->prepare(final_outputs(rows(inputs, 0, 1)), targets.defined() ? targets.narrow(0, 0, 1) : targets);
    const QueryPath probe(model, rows(inputs, 0, 1), *measurement);
    tape_bytes = probe.at(final.weights, final.buffers)->tape.bytes();
  }
  const int64_t chunk = std::min(n, inputs_per_chunk(options, final.weights, form, tape_bytes, trace_bytes, K));
  const int64_t chunks = (n + chunk - 1) / chunk;

  Uncertainty uncertainty(Q);
  CorrectionShares shares;
  for (int64_t c = 0; c < chunks; ++c) {
    const int64_t first = c * chunk, count = std::min(chunk, n - first);
    const Tensors some = rows(inputs, first, count);
    const Tensor their_targets = targets.defined() ? targets.narrow(0, first, count) : targets;
    const Tensors outputs = final_outputs(some);
    measurement->prepare(outputs, their_targets);
    ChunkSweep chunk_sweep(recording, model, options, tracer, *measurement, books, uncertainty, first, some);
    chunk_sweep.run(final, ledger, shares, [&](int64_t done) {
      if (progress) progress("sweeping", c * T + done, chunks * T);
    });
    const Tensor scores = outputs[0].flatten(1);
    const Tensor predicted = data.is_classification() && scores.size(1) > 1 ? scores.argmax(1).cpu() : Tensor();
    for (int64_t i = 0; i < count; ++i) {
      for (int64_t k = 0; k < K; ++k) {
        QueryInfo info = queries.info.empty() ? QueryInfo{} : queries.info[size_t(first + i)];
        info.measurement = measurement->describe(i, k);
        if (predicted.defined()) info.predicted = predicted[i].item<int64_t>();
        ledger.queries.push_back(std::move(info));
      }
    }
  }
  books.close();
  check_finite(ledger);
  ledger.certificate = certify(ledger, uncertainty, shares, tracer, std::min(options.sampled_steps, T));
  return ledger;
}

}  // namespace pathkernel
