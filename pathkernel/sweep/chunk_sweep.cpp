#include <pathkernel/sweep/chunk_sweep.h>

#include <ATen/ops/arange.h>
#include <fmt/format.h>
#include <pathkernel/core/error.h>

#include <algorithm>

namespace pathkernel {
namespace {

/// Δβ of one step, flat; undefined for buffers that are no real numbers.
Tensors buffer_change(const PathSegment& segment, size_t j, at::ScalarType precision) {
  const Tensors before = in(precision, segment.steps[j].buffers);
  const Tensors after = in(precision, j + 1 < segment.steps.size() ? segment.steps[j + 1].buffers : segment.end_buffers);
  Tensors change;
  for (size_t b = 0; b < before.size(); ++b) change.push_back(at::isFloatingType(before[b].scalar_type()) ? (after[b] - before[b]).reshape(-1) : Tensor());
  return change;
}

std::string lane_name(size_t k) { return fmt::format("lane/{}/", k); }

}  // namespace

std::vector<Window> stretches(const Window& window, int64_t stride, const std::vector<int64_t>& checkpoints) {
  std::vector<int64_t> cuts = {window.from};
  for (const int64_t c : checkpoints) {
    const int64_t cut = window.from + (c - window.from + stride - 1) / stride * stride;
    if (c > window.from && cut > cuts.back() && cut < window.until) cuts.push_back(cut);
  }
  std::vector<Window> out;
  for (size_t k = 0; k < cuts.size(); ++k) out.push_back({cuts[k], k + 1 < cuts.size() ? cuts[k + 1] : window.until});
  return out;
}

ChunkSweep::ChunkSweep(Shared& shared, int64_t first, QueryChunk queries)
    : shared_(shared),
      first_(first),
      queries_(std::move(queries)),
      sampled_(sampled_steps(shared.window.steps(), shared.options.sampled_steps)) {}

void ChunkSweep::put_into(SweepState& state) const {
  for (size_t k = 0; k < lanes_.size(); ++k) lanes_[k].put_into(state, lane_name(k));
}

void ChunkSweep::begin(const AskedNetwork& final) {
  later_ = queries_.at(final.weights, final.buffers);
  shared_.books.output(shared_.window.until, queries_.values(later_), first_);
}

/// Before `step`: the network there is replayed, the adjoints are those that were kept.
void ChunkSweep::go_on(const SweepState& state, int64_t step) {
  for (size_t k = 0; k < lanes_.size(); ++k) lanes_[k].take_from(state, lane_name(k), values(shared_.model.parameters()), shared_.model.buffers().size());
  const PathSegment there = shared_.tracer.at(step);
  const at::ScalarType precision = shared_.options.precision;
  later_ = queries_.at(in(precision, there.end_evaluated()), in(precision, there.end_buffers));
}

void ChunkSweep::run(const AskedNetwork& final, const SweepState* kept, const std::function<void(int64_t)>& step_done, const std::function<void(int64_t)>& stretch_done) {
  const SweepOptions& options = shared_.options;
  const int64_t K = queries_.per_input(), n = queries_.queries();
  for (int64_t k = 0; k < K; ++k) {
    const auto options_of = at::TensorOptions().dtype(options.precision).device(final.weights.front().device());
    lanes_.emplace_back(n, shared_.batch, options.convention, options_of, &shared_.tracer.coupled_passes());
    if (options.statistics) lanes_.back().share_statistics();
    columns_.push_back(at::arange(first_ * K + k, (first_ + n) * K, K, at::kLong));
  }
  const std::vector<Window> pieces = stretches(shared_.window, options.stride, shared_.recording.checkpoint_steps());
  const size_t left = kept != nullptr ? size_t(kept->number("stretches left")) : pieces.size();
  if (kept != nullptr) go_on(*kept, pieces.at(left).from);
  else begin(final);
  for (size_t piece = left; piece-- > 0;) {
    const PathSegment segment = shared_.tracer.segment(pieces[piece].from, pieces[piece].until);
    if (options.stride > 1 && shared_.tracer.first_drift() >= 0) {  // stretches that end between checkpoints would not meet
      throw InvalidInput(fmt::format("explain: replay differs from the recording from step {} on, and stride needs an exact replay; use stride 1", shared_.tracer.first_drift()));
    }
    for (int64_t k = 0; k < K && !segment.end_memory_jump.empty(); ++k)
      shared_.ledger.rounding.index_add_(0, columns_[size_t(k)], lanes_[size_t(k)].memory_jump(segment.end_memory_jump).cpu());
    for (size_t end = segment.steps.size(); end > 0;) {
      const size_t begin = (end - 1) / size_t(options.stride) * size_t(options.stride);
      walk_block(segment, begin, end);
      end = begin;
      step_done(shared_.window.until - segment.steps[begin].step);
    }
    if (piece == 0) book_end(segment.steps.front(), segment.begin_memory);
    else stretch_done(int64_t(piece));
  }
}

/// Steps begin … end−1 of a stretch, with one segment gradient along their chord (theory 2.7; one step with stride 1).
void ChunkSweep::walk_block(const PathSegment& segment, size_t begin, size_t end) {
  const SweepOptions& options = shared_.options;
  const StepTrace& first = segment.steps[begin];
  QueryChunk::End earlier = [&] {
    const Timed timed(options.timings, "queries forward");
    return queries_.at(in(options.precision, first.evaluated()), in(options.precision, first.buffers));
  }();
  const SegmentGradient gradient = [&] {
    const Timed timed(options.timings, "queries reverse");
    return queries_.gradient(options.rule, earlier, later_, &shared_.corrections);
  }();
  shared_.books.output(first.step, queries_.values(earlier), first_);
  for (size_t k = 0; k < lanes_.size(); ++k) {
    shared_.books.segment(gradient, int64_t(k), columns_[k]);
    for (size_t j = end; j-- > begin;) {
      const StepAccount account = [&] {
        const Timed timed(options.timings, "adjoint and contraction");
        return lanes_[k].step(segment.steps[j], gradient.G[k], buffer_change(segment, j, options.precision));
      }();
      const Timed timed(options.timings, "books");
      shared_.books.step(segment.steps[j], account, columns_[k]);
    }
  }
  sample(segment, begin, end, gradient, earlier, later_);
  later_ = std::move(earlier);
}

/// The split's uncertainty, where one of the block's steps was chosen for it.
void ChunkSweep::sample(const PathSegment& segment, size_t begin, size_t end, const SegmentGradient& coarse, QueryChunk::End& from, const QueryChunk::End& to) {
  const auto chosen = [&](size_t j) { return sampled_[size_t(segment.steps[j].step - shared_.window.from)]; };
  size_t j = begin;
  while (j < end && !chosen(j)) ++j;
  if (j == end) return;
  const Timed timed(shared_.options.timings, "uncertainty of the split");
  GradientRule refined = shared_.options.rule;
  refined.panels *= 2;
  const SegmentGradient fine = queries_.gradient(refined, from, to);
  for (; j < end; ++j) {
    for (size_t k = 0; chosen(j) && k < lanes_.size(); ++k) shared_.uncertainty.sample(segment.steps[j], coarse.G[k], fine.G[k], columns_[k], shared_.tracer.coupled_passes());
  }
}

/// The window's beginning: what decay leaves pulling on the weights there, and what was under way.
void ChunkSweep::book_end(const StepTrace& first, const Tensors& memory) {
  for (size_t k = 0; k < lanes_.size(); ++k) {
    const Leftover left = lanes_[k].leftover(first, memory);
    shared_.ledger.decay.index_add_(0, columns_[k], left.decay.cpu());
    shared_.ledger.in_flight.index_add_(0, columns_[k], left.in_flight.cpu());
    if (left.statistics.defined()) shared_.ledger.first_statistics.index_add_(0, columns_[k], left.statistics.cpu());
  }
}

}  // namespace pathkernel
