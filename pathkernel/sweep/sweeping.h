#pragma once

#include <pathkernel/sweep/chunk_sweep.h>
#include <pathkernel/sweep/measurement.h>
#include <pathkernel/sweep/sweep.h>

#include <memory>

namespace pathkernel {

/// The work of one call of sweep() or plan_sweep(): queries in chunks that fit the memory, each walked from the window's end to its
/// beginning (ChunkSweep), and what belongs to the ledger as a whole.
class Sweeping {
 public:
  /// What is given must outlive it. @throws InvalidInput for a window that is not of this run, or an average that it did not keep
  Sweeping(const Recording& recording, const Learner& learner, const Dataset& data, const Queries& queries, const SweepOptions& options);

  /// What run() will take; it reckons the same. @throws InvalidInput where it would not fit
  SweepPlan plan();
  Ledger run(const Progress& progress);
  /// Inputs that the network at the window's end takes for another class than theirs, int64 [k].
  Tensor wrong();

 private:
  void keep(const ChunkSweep::Shared& shared, int64_t chunk, int64_t chunks_done, int64_t stretches_left, const ChunkSweep* walk) const;
  const SweepState* take_up(ChunkSweep::Shared& shared, int64_t chunk) const;
  Tensor targets(int64_t first, int64_t count) const { return targets_.defined() ? targets_.narrow(0, first, count) : targets_; }
  Tensors ask(Measurement& measurement, const Tensors& inputs, const Tensor& targets);
  std::unique_ptr<Measurement> new_measurement() const;
  QueryChunk asked(int64_t first, int64_t count, const SweepPlan& plan, Ledger& ledger);
  std::vector<QueryPiece> pieces_of_sets(int64_t first, int64_t count, int64_t inputs_per_piece);
  LedgerSizes ledger_sizes() const;
  void look(SweepPlan& plan);
  void describe_settings(Ledger& ledger) const;

  const Recording& recording_;
  Model& model_;
  const Dataset& data_;
  const Queries& queries_;
  const SweepOptions& options_;
  Window window_;
  int64_t batch_;  ///< examples of an ordinary step: a manifest made from Python does not know
  bool average_;  ///< the averaged network is asked
  Tracer tracer_;
  std::unique_ptr<Measurement> measurement_;  ///< asked about the first input: K, words
  Tensors inputs_;   ///< of the queries, in the evaluation precision
  Tensor targets_;
  AskedNetwork final_;  ///< at the window's end
  int64_t K_ = 1;    ///< measurements of an input
};

}  // namespace pathkernel
