#pragma once

#include <pathkernel/sweep/ledger.h>

#include <string>

namespace pathkernel {

/// Ledgers of this format version are read by this program; another version is refused by name. docs/ledger.md is the format.
inline constexpr int ledger_format_version = 2;

/// Writes `folder` with ledger.json and ledger.safetensors. They are written into a sibling folder first, which is renamed when
/// whole: a run killed at any moment leaves no half-written ledger under this name.
/// @throws InvalidInput when `folder` exists and is not empty, or cannot be written; InvariantViolated when a tensor of the
/// ledger is missing or has another shape or dtype than the format says.
void save(const Ledger& ledger, const std::string& folder);

/// Reads one back, and checks it: version, every tensor's shape and dtype, the hashes of all numbers and of ledger.json where the
/// files state them, and that its views add up (explain/agreement.h).
/// @throws InvalidInput when `folder` is no ledger, CorruptData naming what is wrong with it otherwise.
Ledger load_ledger(const std::string& folder);

}  // namespace pathkernel
