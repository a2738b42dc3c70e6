#pragma once

#include <pathkernel/data/dataset.h>
#include <pathkernel/sweep/ledger.h>

#include <string>
#include <vector>

namespace pathkernel {

/// Several inputs that are asked about as one query, m = Σ_i weights_i · m(members_i): linear in the segment gradient, so that it costs
/// one column of the recursion.
struct QuerySet {
  std::string name;   ///< "class 3 of test:all"
  Tensor members;     ///< int64 [k]: rows of Queries::inputs, each once
  Tensor weights;     ///< float64 [k]

  int64_t size() const { return members.size(0); }
  bool is_mean() const;
};

/// What is asked: inputs with, where known, their targets.
struct Queries {
  Tensors inputs;                 ///< first dimension: the query's input
  Tensor targets;                 ///< [n, ...]; undefined: unknown
  std::vector<QueryInfo> info;    ///< one per input: where it comes from (measurement and prediction are filled in by the sweep)
  std::vector<QuerySet> sets;     ///< what is asked about them (query_sets.h makes some); empty: each input is a query of its own

  int64_t input_count() const { return inputs.front().size(0); }
  /// Inputs, or sets of them: what is asked about.
  int64_t asked() const { return sets.empty() ? input_count() : int64_t(sets.size()); }
};

/// "test:0-15" | "train:3,5,9-12" | "test:all" | "FILE.npy" ([n, ...] inputs of the data's shape, without targets).
/// @throws InvalidInput naming what is not understood, an index outside the part, or an input of another shape.
Queries select_queries(const std::string& specification, const TrainTest& data);

}  // namespace pathkernel
