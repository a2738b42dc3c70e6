#pragma once

#include <pathkernel/data/dataset.h>
#include <pathkernel/model/model.h>
#include <pathkernel/record/recording.h>
#include <pathkernel/sweep/adjoint.h>
#include <pathkernel/sweep/ledger.h>
#include <pathkernel/sweep/segment_gradient.h>
#include <pathkernel/sweep/sweep.h>
#include <pathkernel/sweep/sweep_state.h>
#include <pathkernel/sweep/window.h>

#include <vector>

namespace pathkernel {

/// Keeps the ledger's accounts while the sweep runs: puts each step's draws where they belong. Every view is summed from the same
/// draws in float64, so that all add up.
class Books {
 public:
  /// @param window  the ledger's steps   @param queries  Q: measurements over all inputs
  /// @param keep  contributions kept of each query, the largest; 0: all, with the draws and the step-wise views
  Books(Ledger& ledger, const Recording& recording, const Window& window, const NamedTensors& parameters, const Dataset& data, int64_t queries, int64_t keep,
        const SweepOptions& options);

  /// Before and after a chunk of queries, the ledger's columns first_column … first_column+count−1: where only the largest contributions
  /// are kept, all of the chunk's are held in between.  @param kept  a state from within this chunk, or nullptr
  void begin_chunk(int64_t first_column, int64_t count, const SweepState* kept);
  void end_chunk();
  /// @param columns  int64 [n]: the ledger's columns that the account's n queries are
  void step(const StepTrace& trace, const StepAccount& account, const Tensor& columns);
  /// What a segment's gradient leaves out for measurement k: jumps, and what quadrature misses.
  void segment(const SegmentGradient& gradient, int64_t k, const Tensor& columns);
  /// Σ_s |r_s| of the rule's nodes, [Q]; undefined where no rule had any.
  const Tensor& quadrature_defect() const { return defect_; }
  /// The measurement before step s (or at the window's end). @param values [n, K], rows are inputs first_input…
  void output(int64_t s, const Tensor& values, int64_t first_input);
  /// All accounts as they stand, and back.
  void put_into(SweepState& state) const;
  void take_from(const SweepState& state);
  /// Sums what is summed last: the residual.
  void close();

  /// F where the ledger holds inputs such as these, else 0
  static int64_t kept_features(const Tensor& inputs);
  static std::vector<std::string> layer_names(const NamedTensors& parameters, std::vector<int64_t>* layer_of);

 private:
  void keep_largest(const Tensor& contributions, int64_t column);

  Ledger& ledger_;
  Tensor contributions_;               ///< [N, chunk's queries] float64 where the largest are kept, else the ledger's own
  int64_t first_column_ = 0;           ///< the ledger's column that is their first
  Tensor layer_of_;                    ///< [parameters] int64
  int64_t first_step_;
  std::vector<int64_t> first_draw_;    ///< per step of the window: its first row of `draws`
  Tensor class_of_;                    ///< [N] int64
  Tensor defect_;
};

}  // namespace pathkernel
