#pragma once

#include <pathkernel/sweep/adjoint.h>
#include <pathkernel/sweep/books.h>
#include <pathkernel/sweep/evaluation.h>
#include <pathkernel/sweep/query_chunk.h>
#include <pathkernel/sweep/sweep.h>
#include <pathkernel/sweep/uncertainty.h>

#include <functional>
#include <utility>
#include <vector>

namespace pathkernel {

/// The window in stretches that are replayed and swept one at a time, first to last: cut at checkpoints, each cut moved up to where a
/// block of `stride` steps (counted from window.from) begins.
std::vector<Window> stretches(const Window& window, int64_t stride, const std::vector<int64_t>& checkpoints);

/// One chunk of queries, walked from the window's last step to its first.
class ChunkSweep {
 public:
  /// What all chunks of a sweep share.
  struct Shared {
    const Recording& recording;
    Model& model;
    const SweepOptions& options;
    Window window;
    int64_t batch;  ///< examples of an ordinary step, for the cost model
    Tracer& tracer;
    Ledger& ledger;
    Books& books;
    Uncertainty& uncertainty;
    CorrectionShares& corrections;
  };
  /// @param first  where the chunk's inputs, or sets, stand among all
  ChunkSweep(Shared& shared, int64_t first, QueryChunk queries);

  /// @param kept  goes on where put_into() was called; nullptr: from the window's end   @param step_done  called with the number of steps done
  /// @param stretch_done  called between two stretches with the number of those left
  void run(const AskedNetwork& final, const SweepState* kept, const std::function<void(int64_t)>& step_done, const std::function<void(int64_t)>& stretch_done);

  /// What this chunk adds to the sweep's state between two stretches.
  void put_into(SweepState& state) const;

 private:
  void begin(const AskedNetwork& final);
  void go_on(const SweepState& state, int64_t step);
  void walk_block(const PathSegment& segment, size_t begin, size_t end);
  void sample(const PathSegment& segment, size_t begin, size_t end, const SegmentGradient& coarse, QueryChunk::End& from, const QueryChunk::End& to);
  void book_end(const StepTrace& first, const Tensors& memory);

  Shared& shared_;
  int64_t first_;
  QueryChunk queries_;
  std::vector<Adjoint> lanes_;    ///< one per measurement k
  std::vector<Tensor> columns_;   ///< the ledger's columns of each lane
  std::vector<bool> sampled_;     ///< per step of the window
  QueryChunk::End later_;                     ///< the end of the block to be walked next
};

}  // namespace pathkernel
