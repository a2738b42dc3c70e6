// What a sweep asks about: inputs one by one, or sets of them in pieces.

#include <pathkernel/sweep/sweeping.h>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>
#include <pathkernel/core/error.h>
#include <pathkernel/sweep/query_infos.h>

#include <algorithm>
#include <unordered_map>

namespace pathkernel {
namespace {

void tell(const std::vector<QueryInfo>& infos, Ledger& ledger) { ledger.queries.insert(ledger.queries.end(), infos.begin(), infos.end()); }

}  // namespace

/// Fixes what is asked of these inputs by the network at the window's end (the predicted class).
Tensors Sweeping::ask(Measurement& measurement, const Tensors& inputs, const Tensor& targets) {
  const Tensors outputs = outputs_of(model_, final_, inputs);
  measurement.about(inputs);
  measurement.prepare(outputs, targets);
  return outputs;
}

std::unique_ptr<Measurement> Sweeping::new_measurement() const {
  if (options_.measurement) return options_.measurement();
  return make_measurement(options_.measure, tracer_.objective(), data_.class_names);
}

/// Inputs, or sets, first … first+count−1, as the path will be asked about them; the ledger is told what they are.
QueryChunk Sweeping::asked(int64_t first, int64_t count, const SweepPlan& plan, Ledger& ledger) {
  if (!queries_.sets.empty()) {
    tell(infos_of_sets(queries_, first, count, *measurement_), ledger);
    return {model_, pieces_of_sets(first, count, plan.inputs_per_piece), plan.held_pieces};
  }
  QueryPiece piece{rows(inputs_, first, count), new_measurement(), {}};
  const Tensors outputs = ask(*piece.measurement, piece.inputs, targets(first, count));
  tell(infos_of_inputs(queries_, first, outputs, *piece.measurement, data_.is_classification()), ledger);
  std::vector<QueryPiece> pieces;
  pieces.push_back(std::move(piece));
  return {model_, std::move(pieces), 1};
}

/// The inputs of these sets, each once, in pieces of so many.
std::vector<QueryPiece> Sweeping::pieces_of_sets(int64_t first, int64_t count, int64_t inputs_per_piece) {
  std::vector<int64_t> places;
  std::unordered_map<int64_t, size_t> position;
  struct Share { size_t position; int64_t set; double weight; };
  std::vector<Share> shares;
  for (int64_t s = 0; s < count; ++s) {
    const QuerySet& set = queries_.sets[size_t(first + s)];
    const Tensor members = set.members.contiguous(), weights = set.weights.contiguous();
    for (int64_t j = 0; j < set.size(); ++j) {
      const int64_t place = members.const_data_ptr<int64_t>()[j];
      const auto [at, is_new] = position.emplace(place, places.size());
      if (is_new) places.push_back(place);
      shares.push_back({at->second, s, weights.const_data_ptr<double>()[j]});
    }
  }
  const auto of_piece = size_t(inputs_per_piece);
  std::vector<QueryPiece> pieces;
  for (size_t begin = 0; begin < places.size(); begin += of_piece) {
    const size_t end = std::min(places.size(), begin + of_piece);
    const Tensor here = at::tensor(std::vector<int64_t>(places.begin() + int64_t(begin), places.begin() + int64_t(end)), at::kLong).to(inputs_.front().device());
    QueryPiece piece{{}, new_measurement(), at::zeros({count, int64_t(end - begin)}, at::kDouble)};
    for (const Tensor& inputs : inputs_) piece.inputs.push_back(inputs.index_select(0, here));
    ask(*piece.measurement, piece.inputs, targets_.defined() ? targets_.index_select(0, here) : targets_);
    pieces.push_back(std::move(piece));
  }
  for (const Share& share : shares) {
    Tensor& weights = pieces[share.position / of_piece].weights;
    weights.mutable_data_ptr<double>()[share.set * weights.size(1) + int64_t(share.position % of_piece)] += share.weight;
  }
  return pieces;
}

/// Inputs that the network at the window's end takes for another class than theirs.
Tensor Sweeping::wrong() {
  constexpr int64_t at_a_time = 256;
  Tensors found;
  for (int64_t first = 0; first < queries_.input_count(); first += at_a_time) {
    const int64_t count = std::min(at_a_time, queries_.input_count() - first);
    const Tensor scores = outputs_of(model_, final_, rows(inputs_, first, count))[0].flatten(1);
    if (scores.size(1) < 2) throw InvalidInput("explain: aggregate wrong needs a network that gives class scores; use mean, or a file of sets");
    found.push_back((scores.argmax(1) != targets(first, count)).nonzero().squeeze(1).cpu() + first);
  }
  return at::cat(found);
}

}  // namespace pathkernel
