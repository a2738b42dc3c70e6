#pragma once

#include <pathkernel/data/dataset.h>
#include <pathkernel/record/manifest.h>
#include <pathkernel/sweep/ledger.h>

#include <optional>
#include <string>

namespace pathkernel {

/// What a ledger was made from, as far as it is still at hand.
struct Source {
  std::optional<Manifest> manifest;
  std::optional<TrainTest> data;
  std::string missing;  ///< why `data` is not there; empty when it is
};

/// Opens the recording that the ledger names and loads its data. Never fails: what cannot be had, or is not the data of the
/// recorded run (fingerprint), is left out with the reason. Cost: reading the data set once.
Source source_of(const Ledger& ledger);

/// The part that a query's input was taken from; nullptr where that is not at hand.
const Dataset* part_of(const QueryInfo& query, const Source& source);

}  // namespace pathkernel
