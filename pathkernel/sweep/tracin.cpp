#include <pathkernel/sweep/tracin.h>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/full.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <pathkernel/core/bytes.h>
#include <pathkernel/core/error.h>
#include <pathkernel/model/dtype.h>
#include <pathkernel/model/own_weights.h>
#include <pathkernel/record/replay.h>
#include <pathkernel/sweep/books.h>
#include <pathkernel/sweep/evaluation.h>
#include <pathkernel/sweep/measurement.h>
#include <pathkernel/sweep/query_infos.h>
#include <pathkernel/tangent/contraction.h>
#include <pathkernel/tangent/example_gradients.h>

#include <algorithm>
#include <cmath>
#include <functional>
#include <limits>

namespace pathkernel {
namespace {

constexpr int64_t at_a_time = 250;  ///< examples of a pass: their activations stay in the cache

/// The recorded checkpoints nearest to k·T/count, k = 1 … count.  @param fewer  are chosen where there are not so many
std::vector<int64_t> chosen_checkpoints(const Recording& recording, int64_t count, bool fewer) {
  const int64_t T = recording.steps();
  std::vector<int64_t> recorded = recording.checkpoint_steps();
  if (recorded.back() != T) throw InvalidInput(fmt::format("tracin: {} was not finished and has no checkpoint at its end; go on with: pathkernel resume {}", recording.folder(), recording.folder()));
  std::erase(recorded, 0);  // the untrained network
  if (fewer) count = std::min(count, int64_t(recorded.size()));
  if (count < 1 || count > int64_t(recorded.size()))
    throw InvalidInput(fmt::format("tracin: {} checkpoints are asked for, but this run has {} after its beginning; ask for fewer, or record with more of them", count, recorded.size()));
  std::vector<int64_t> chosen;
  for (int64_t k = 1; k <= count; ++k) {
    const double wanted = double(k) * double(T) / double(count);
    const auto nearer = [&](int64_t a, int64_t b) { return std::abs(double(a) - wanted) < std::abs(double(b) - wanted); };
    chosen.push_back(*std::min_element(recorded.begin(), recorded.end(), nearer));
  }
  chosen.erase(std::unique(chosen.begin(), chosen.end()), chosen.end());
  if (!fewer && int64_t(chosen.size()) < count)
    throw InvalidInput(fmt::format("tracin: {} checkpoints spread over the run are asked for, and only {} of the recorded ones lie near; ask for fewer", count, chosen.size()));
  return chosen;
}

/// ⟨g_i, h_q⟩ [n, m]
Tensor products(const FactorList& g, const FactorList& h, int64_t n, int64_t m) {
  return h.size() == 1 && h[0].kind == Factor::Kind::dense ? contract(g, h[0].left, n) : inner(g, h, n, m);
}

/// ‖g_i‖² [n]
Tensor squared_norms(const FactorList& g, int64_t n, int64_t numbers) {
  const Factor& f = g.front();
  if (g.size() == 1 && f.kind == Factor::Kind::outer && f.terms() == 1 && f.left.size(1) == 1)
    return f.left.flatten(1).square().sum(1) * f.right.flatten(1).square().sum(1);
  return materialise(g, n, numbers, f.left.options()).square().sum(1);
}

/// Appends another piece's examples to a list of the same structure.
void join(FactorList& all, const FactorList& more) {
  if (all.empty()) {
    all = more;
    return;
  }
  for (size_t k = 0; k < all.size(); ++k) {
    all[k].left = at::cat({all[k].left, more[k].left});
    if (all[k].right.defined()) all[k].right = at::cat({all[k].right, more[k].right});
    if (all[k].index.defined()) all[k].index = at::cat({all[k].index, more[k].index});
  }
}

class Scores {
 public:
  Scores(const Recording& recording, const Learner& learner, const Dataset& data, const Queries& queries, const TracInOptions& options)
      : recording_(recording), model_(learner.model), data_(data), queries_(queries), options_(options), replay_(recording, learner, data),
        dtype_(parse_dtype(recording.manifest().dtype)), steps_(chosen_checkpoints(recording, options.checkpoints, options.fewer)) {
    replay_.restore(recording.steps());
    const at::AutoGradMode off(false);
    const Tensor of_sets = weights_of_sets();
    for (int64_t first = 0; first < queries.input_count(); first += at_a_time) {  // what is asked of each input is fixed by the final network
      const int64_t count = std::min(at_a_time, queries.input_count() - first);
      Piece piece{rows(in(dtype_, queries.inputs), first, count), queries.targets.defined() ? in(dtype_, {queries.targets})[0].narrow(0, first, count) : Tensor(),
                  options.measurement ? options.measurement() : make_measurement(options.measure, objective(), data.class_names), first, of_sets.defined() ? of_sets.narrow(1, first, count) : Tensor()};
      const Tensors outputs = model_.forward(piece.inputs, Mode::eval);
      piece.measurement->about(piece.inputs);
      piece.measurement->prepare(outputs, piece.targets);
      if (queries.sets.empty()) {
        const auto infos = infos_of_inputs(queries, first, outputs, *piece.measurement, data.is_classification());
        out_.ledger.queries.insert(out_.ledger.queries.end(), infos.begin(), infos.end());
      }
      pieces_.push_back(std::move(piece));
    }
    const Measurement& any = *pieces_.front().measurement;
    if (!queries.sets.empty()) out_.ledger.queries = infos_of_sets(queries, 0, queries.asked(), any);
    K_ = any.per_input();
    Q_ = queries.asked() * K_;
    if (const int64_t bytes = 8 * data.size() * Q_; bytes > options.memory)
      throw InvalidInput(fmt::format("tracin: {} scores for each of {} training examples take {}, but memory allows {}; ask fewer queries at a time", Q_, data.size(), print_bytes(bytes), print_bytes(options.memory)));
  }

  TracIn run(const Progress& progress) {
    begin();
    const int64_t N = data_.size();
    for (size_t c = 0; c < steps_.size(); ++c) {
      replay_.restore(steps_[c]);
      const std::vector<double> eta = learning_rates(recording_.step(std::min(steps_[c], recording_.steps() - 1)));
      const std::vector<FactorSet> asked = query_gradients(steps_[c]);
      for (int64_t first = 0; first < N; first += at_a_time) {
        add(asked, c, first, std::min(at_a_time, N - first), eta);
        if (progress) progress("TracIn", int64_t(c) * N + std::min(N, first + at_a_time), int64_t(steps_.size()) * N);
      }
    }
    return finish();
  }

 private:
  struct Piece {
    Tensors inputs;
    Tensor targets;
    std::unique_ptr<Measurement> measurement;
    int64_t first;
    Tensor weights;  ///< [sets, inputs of the piece]; undefined: each input is a query of its own
  };

  const Objective& objective() const { return replay_.trainer().objective(); }
  /// η of each parameter at a step: groups may have their own.
  std::vector<double> learning_rates(const StepRecord& record) {
    Optimizer& optimizer = replay_.trainer().optimizer();
    if (!record.groups.empty()) optimizer.use_groups(record.groups);
    const std::vector<double> own = optimizer.learning_rates();
    return own.empty() ? std::vector<double>(model_.parameters().size(), record.lr) : own;
  }
  Tensor lane(const Tensor& t, int64_t k) const { return t.slice(-1, k, Q_, K_); }

  void begin() {
    Ledger& l = out_.ledger;
    const int64_t T = recording_.steps(), N = data_.size();
    const auto f64 = at::TensorOptions().dtype(at::kDouble);
    std::vector<int64_t> layer_of;
    l.layers = Books::layer_names(model_.parameters(), &layer_of);
    layer_of_ = layer_of;
    l.classes = data_.is_classification() ? data_.class_names : std::vector<std::string>{"all"};
    l.contributions = at::zeros({N, Q_}, f64);
    for (const Ledger::Term& term : Ledger::terms()) l.*term.of = at::zeros({Q_}, f64);
    l.by_step = at::zeros({T, Q_}, f64);
    l.by_layer = at::zeros({int64_t(l.layers.size()), Q_}, f64);
    l.by_class = at::zeros({int64_t(l.classes.size()), Q_}, f64);
    l.outputs = at::full({T + 1, Q_}, std::numeric_limits<double>::quiet_NaN(), f64);
    if (data_.targets.defined() && data_.targets.dim() == 1) l.example_targets = data_.targets.to(at::kDouble);
    out_.self_influence = at::zeros({N}, f64);
    if (data_.is_classification()) out_.predicted = at::zeros({N}, at::kLong);
    out_.losses = at::zeros({int64_t(steps_.size()), N}, f64);
    for (const int64_t s : {int64_t(0), recording_.steps()}) {
      replay_.restore(s);
      const at::AutoGradMode off(false);
      for (const Piece& piece : pieces_) book_values(s, piece, piece.measurement->values(model_.forward(piece.inputs, Mode::eval)));
    }
  }

  /// The measurement at a point of the path; sets' values are summed over the pieces.
  void book_values(int64_t s, const Piece& piece, const Tensor& values) {
    Tensor row = out_.ledger.outputs.select(0, s);
    const Tensor exact = values.detach().to(at::kCPU, at::kDouble);
    if (queries_.sets.empty()) {
      row.narrow(0, piece.first * K_, exact.numel()).copy_(exact.reshape(-1));
      return;
    }
    if (piece.first == 0) row.zero_();
    row.add_(at::matmul(piece.weights, exact).reshape(-1));
  }

  /// [sets, inputs]; undefined without sets
  Tensor weights_of_sets() const {
    if (queries_.sets.empty()) return {};
    Tensor weights = at::zeros({queries_.asked(), queries_.input_count()}, at::kDouble);
    for (int64_t s = 0; s < queries_.asked(); ++s) weights[s].index_add_(0, queries_.sets[size_t(s)].members, queries_.sets[size_t(s)].weights);
    return weights;
  }

  /// ∇m of all queries at the checkpoint that the model is at: one set per measurement k.
  std::vector<FactorSet> query_gradients(int64_t step) {
    const size_t L = model_.parameters().size();
    std::vector<FactorSet> all(static_cast<size_t>(K_));
    for (FactorSet& set : all) set.parameters.resize(L), set.examples = queries_.asked();
    for (const Piece& piece : pieces_) {
      Tensor values;
      const std::vector<FactorSet> part = example_gradients(model_, piece.inputs, piece.targets, [&](const Tensors& outputs) { return piece.measurement->values(outputs); }, &values);
      if (step != recording_.steps()) book_values(step, piece, values);
      for (size_t k = 0; k < all.size(); ++k) {
        for (size_t l = 0; l < L; ++l) {
          const FactorList& list = part[k].parameters[l];
          if (list.empty()) continue;
          if (queries_.sets.empty()) {
            join(all[k].parameters[l], list);
            continue;
          }
          const Tensor sum = weighted_sums(list, piece.weights.to(list.front().left.options()), list.front().numbers);
          FactorList& sums = all[k].parameters[l];
          if (sums.empty()) sums = {dense_factor(sum)};
          else sums[0].left.add_(sum);
        }
      }
    }
    return all;
  }

  /// A batch of training examples at checkpoint c.
  void add(const std::vector<FactorSet>& asked, size_t c, int64_t first, int64_t count, const std::vector<double>& eta) {
    const Batch batch = take(data_, at::arange(first, first + count, at::kLong), dtype_);
    Tensor losses;
    const FactorSet g = std::move(example_gradients(model_, batch.inputs, batch.targets, [&](const Tensors& outputs) {
      if (steps_[c] == recording_.steps() && out_.predicted.defined()) out_.predicted.narrow(0, first, count).copy_(outputs[0].detach().argmax(1));
      return objective().losses(outputs, batch.targets).unsqueeze(1);
    }, &losses)[0]);
    out_.losses[int64_t(c)].narrow(0, first, count).copy_(losses.squeeze(1));
    Ledger& l = out_.ledger;
    const int64_t row = std::min(steps_[c], recording_.steps() - 1);
    const Tensor classes = data_.is_classification() ? batch.targets : at::zeros({count}, at::kLong);
    for (size_t p = 0; p < g.parameters.size(); ++p) {
      const FactorList& list = g.parameters[p];
      if (list.empty()) continue;
      out_.self_influence.narrow(0, first, count).add_(squared_norms(list, count, list.front().numbers), eta[p]);
      for (int64_t k = 0; k < K_; ++k) {
        const FactorList& h = asked[size_t(k)].parameters[p];
        if (h.empty()) continue;
        const Tensor part = products(list, h, count, queries_.asked()).to(at::kDouble).mul_(-eta[p]);
        lane(l.contributions.narrow(0, first, count), k).add_(part);
        const Tensor sum = part.sum(0);
        lane(l.by_layer[layer_of_[p]], k).add_(sum);
        lane(l.by_step[row], k).add_(sum);
        lane(l.by_class, k).index_add_(0, classes, part);
      }
    }
  }

  TracIn finish() {
    Ledger& l = out_.ledger;
    l.initial = l.outputs[0].clone();
    l.final = l.outputs[-1].clone();
    l.residual = l.final - l.initial - l.change();
    const Tensor none = at::full({Q_}, std::numeric_limits<double>::quiet_NaN(), at::kDouble);
    l.certificate.residual_to_contributions = l.certificate.residual_to_change = l.certificate.rounding_to_change = none;
    l.settings.method = fmt::format("tracin over the checkpoints at steps {}", fmt::join(steps_, ", "));
    l.settings.rule = "left";
    l.settings.recording = recording_.folder();
    l.settings.precision = recording_.manifest().dtype;
    l.settings.measure = options_.measure;
    l.settings.last_step = recording_.steps();
    out_.steps = steps_;
    return std::move(out_);
  }

  const Recording& recording_;
  Model& model_;
  const Dataset& data_;
  const Queries& queries_;
  const TracInOptions& options_;
  Replay replay_;
  at::ScalarType dtype_;
  std::vector<int64_t> steps_;
  std::vector<Piece> pieces_;
  std::vector<int64_t> layer_of_;
  int64_t K_ = 1, Q_ = 0;
  TracIn out_;
};

}  // namespace

TracIn tracin(const Recording& recording, const Learner& learner, const Dataset& data, const Queries& queries, const TracInOptions& options, const Progress& progress) {
  const OwnWeights own(learner.model);
  if (queries.inputs.empty() || queries.input_count() == 0) throw InvalidInput("tracin: no queries were given");
  if (recording.steps() == 0) throw InvalidInput("tracin: the recording " + recording.folder() + " has no steps");
  return Scores(recording, learner, data, queries, options).run(progress);
}

}  // namespace pathkernel
