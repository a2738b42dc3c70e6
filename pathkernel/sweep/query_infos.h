#pragma once

#include <pathkernel/sweep/measurement.h>
#include <pathkernel/sweep/queries.h>

#include <vector>

namespace pathkernel {

/// What a ledger says of these inputs' K measurements each, or of these sets'.
/// @param first  where they stand among all   @param outputs  of the final network   @param measurement  prepared with them
std::vector<QueryInfo> infos_of_inputs(const Queries& queries, int64_t first, const Tensors& outputs, const Measurement& measurement, bool classification);
/// @param measurement  prepared with any input
std::vector<QueryInfo> infos_of_sets(const Queries& queries, int64_t first, int64_t count, const Measurement& measurement);

}  // namespace pathkernel
