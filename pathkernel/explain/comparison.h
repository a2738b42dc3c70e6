#pragma once

#include <pathkernel/data/dataset.h>
#include <pathkernel/record/recording.h>
#include <pathkernel/sweep/ledger.h>
#include <pathkernel/sweep/measurement.h>
#include <pathkernel/sweep/queries.h>
#include <pathkernel/train/learner.h>

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace pathkernel {

/// One query, asked of a run's final network and of that of the same run with other data.
struct ComparedQuery {
  QueryInfo info;                ///< as the run's ledger has it
  double before = 0, after = 0;  ///< the measurement m by the run's final network and by the other's; the class asked about is the run's
  double dropped = 0;            ///< Σ c_i in the run's ledger, over examples that the other run was without
  double relabelled = 0;         ///< Σ c_i in the run's ledger, over examples that have another label in the other run
  int64_t predicted = -1;        ///< class by the other run's final network; −1 for regression

  double change() const { return after - before; }
};

/// What changed between two runs, and what it had contributed. Contribution is what an example did on the recorded path; what its
/// removal does is another matter (theory 5): without it, the others act differently from then on.
struct Comparison {
  std::vector<int64_t> dropped, relabelled;  ///< examples, ascending
  std::vector<ComparedQuery> queries;
  /// Pearson's and Spearman's, over the queries, of −(what the dropped ones had contributed) and the real change; where there are at least
  /// three queries, neither is the same for all, and no labels were changed
  std::optional<double> correlation, rank_correlation;

  /// In plain words: why the columns differ.
  std::string words() const;
};

/// @param other  a retraining of `run` (record/retrain.h)   @param learner  its model is of their architecture, and left with its own weights
/// @param data  the training part (for names)   @param ledger  of `run`, whole path, with all queries that are asked
/// @param measurement  makes that of the ledger, where it is a program's own; empty: what the ledger names
/// @throws InvalidInput where `other` is no repetition of `run` or they are not complete; where the ledger is of another run, of a part of
/// the path, or lacks a query or an example that was changed
Comparison compare(const Recording& run, const Recording& other, const Learner& learner, const Dataset& data, const Queries& queries, const Ledger& ledger,
                   const std::function<std::unique_ptr<Measurement>()>& measurement = {});

/// compare()'s checks of the two runs alone, before a ledger is made.
void check_comparable(const Recording& run, const Recording& other);

/// Pearson's correlation; nothing for fewer than three pairs, or where one side is constant.  Spearman's is that of ranks().
std::optional<double> correlation(const std::vector<double>& x, const std::vector<double>& y);
/// 0, 1, … in ascending order; equal numbers share the mean of their ranks.
std::vector<double> ranks(const std::vector<double>& x);

}  // namespace pathkernel
