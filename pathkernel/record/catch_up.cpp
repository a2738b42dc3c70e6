#include <pathkernel/record/catch_up.h>

#include <fmt/format.h>
#include <pathkernel/core/error.h>
#include <pathkernel/record/logged_training.h>

#include <algorithm>

namespace pathkernel {

bool catch_up(const Recording& recording, Replay& replay, Model& model, Recorder& recorder, const Progress& progress, const StopRequest& stop) {
  const std::vector<int64_t> written = recording.checkpoint_steps();
  const int64_t steps = recording.steps();
  int64_t from = 0;
  for (const int64_t s : written)
    if (s < steps) from = s;
  replay.restore(from);
  while (replay.position() < steps) {
    if (progress) progress("repeating", replay.position() - from, steps - from);
    if (stop && stop()) return false;
    const Replay::Repeated repeated = replay.advance();
    if (!repeated.exact) {
      const std::string difference = Environment::here().difference(recording.manifest().environment);
      throw ReplayMismatch(fmt::format("{}: step {} of {}, repeated from the checkpoint before it, gave other weights than were recorded{}; resume it "
                                       "where it was begun, or train again", recording.folder(), repeated.record.step, std::max(steps, recording.manifest().steps),
                                       difference.empty() ? "" : fmt::format(", in another environment ({})", difference)));
    }
    const int64_t s = replay.position();
    const bool wanted = recorder.wants_checkpoint(s) || s == recording.manifest().steps;
    if (wanted && !std::binary_search(written.begin(), written.end(), s)) recorder.checkpoint(state_of(model, replay.trainer(), s));
  }
  return true;
}

}  // namespace pathkernel
