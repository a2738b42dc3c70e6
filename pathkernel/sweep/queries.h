#pragma once

#include <pathkernel/data/dataset.h>
#include <pathkernel/sweep/ledger.h>

#include <string>
#include <vector>

namespace pathkernel {

/// What is asked: inputs with, where known, their targets.
struct Queries {
  Tensors inputs;                 ///< first dimension: the query's input
  Tensor targets;                 ///< [n, ...]; undefined: unknown
  std::vector<QueryInfo> info;    ///< one per input: where it comes from (measurement and prediction are filled in by the sweep)
};

/// "test:0-15" | "train:3,5,9-12" | "test:all" | "FILE.npy" ([n, ...] inputs of the data's shape, without targets).
/// @throws InvalidInput naming what is not understood, an index outside the part, or an input of another shape.
Queries select_queries(const std::string& specification, const TrainTest& data);

}  // namespace pathkernel
