#pragma once

#include <pathkernel/data/dataset.h>
#include <pathkernel/model/model.h>
#include <pathkernel/record/recording.h>
#include <pathkernel/sweep/adjoint.h>
#include <pathkernel/sweep/ledger.h>

#include <vector>

namespace pathkernel {

/// Keeps the ledger's accounts while the sweep runs: puts each step's draws where they belong. Every view is summed from the same
/// draws in float64, so that all add up.
class Books {
 public:
  /// @param queries  Q: measurements over all inputs
  Books(Ledger& ledger, const Recording& recording, const NamedTensors& parameters, const Dataset& data, int64_t queries, bool path_kernel);

  /// @param columns  int64 [n]: the ledger's columns that the account's n queries are
  void step(const StepTrace& trace, const StepAccount& account, const Tensor& columns);
  /// The measurement before step s (or, s = T, at the end). @param values [n, K], rows are inputs first_input…
  void output(int64_t s, const Tensor& values, int64_t first_input);
  /// Sums what is summed last: by_step and by_layer from their finer views, the residual.
  void close();

  static std::vector<std::string> layer_names(const NamedTensors& parameters, std::vector<int64_t>* layer_of);

 private:
  Ledger& ledger_;
  std::vector<int64_t> layer_of_;      ///< per parameter
  std::vector<int64_t> first_draw_;    ///< per step: its first row of `draws`
  Tensor class_of_;                    ///< [N] int64
};

}  // namespace pathkernel
