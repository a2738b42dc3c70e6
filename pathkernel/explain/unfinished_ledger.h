#pragma once

#include <pathkernel/core/folder_lock.h>
#include <pathkernel/core/made_folder.h>
#include <pathkernel/sweep/ledger.h>
#include <pathkernel/sweep/sweep_state.h>

#include <chrono>
#include <map>
#include <optional>
#include <string>

namespace pathkernel {

/// The folder OUT.partial in which a ledger is made: what the sweep keeps now and then, and the ledger's files until they are whole and
/// get the name OUT. One process works in it (FolderLock). What a killed one leaves there, the next one for the same OUT goes on with,
/// to the same bits; so OUT is missing or whole, and the sweep's time is not lost.
class UnfinishedLedger : public SweepKeeper {
 public:
  /// @param request  everything that the ledger's numbers depend on, by name
  /// @param seconds  between two saves, and at least twenty times what a save takes, so that they cost a twentieth of the time at most; 0: none
  /// @throws InvalidInput when OUT.partial cannot be made, is in use, holds what is not ours, or the beginning of a ledger that was
  /// asked for otherwise (naming the difference); CorruptData when what it holds is damaged.
  UnfinishedLedger(const std::string& out, const std::map<std::string, std::string>& request, double seconds);
  /// Removes the folder, unless something is kept in it.
  ~UnfinishedLedger() override;

  const std::string& folder() const { return folder_; }
  /// True when a later one has something to go on with.
  bool holds_state() const { return holds_state_; }
  bool due() override;
  void keep(const SweepState& state) override;
  const SweepState* kept() const override { return kept_ ? &*kept_ : nullptr; }

  /// Writes the ledger and gives it its name; OUT.partial is gone afterwards.
  void publish(const Ledger& ledger);

 private:
  using Clock = std::chrono::steady_clock;
  void read();

  std::string out_, folder_, request_;
  MadeFolder made_;
  FolderLock lock_;
  double seconds_;
  bool holds_state_ = false;
  std::optional<SweepState> kept_;
  Clock::time_point next_;
};

}  // namespace pathkernel
