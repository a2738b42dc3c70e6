#include <pathkernel/explain/source.h>

#include <pathkernel/core/error.h>
#include <pathkernel/record/recording.h>

#include <fmt/format.h>

namespace pathkernel {

Source source_of(const Ledger& ledger) {
  Source source;
  try {
    source.manifest = Recording::open(ledger.settings.recording).manifest();
    TrainTest data = load(source.manifest->data);
    if (fingerprint(data.train) != source.manifest->data_fingerprint)
      source.missing = fmt::format("'{}' no longer holds the examples of the recorded run.", source.manifest->data.location);
    else
      source.data = std::move(data);
  } catch (const InvalidInput& error) {
    source.missing = error.what();
  }
  return source;
}

const Dataset* part_of(const QueryInfo& query, const Source& source) {
  if (!source.data || query.row < 0) return nullptr;
  const Dataset* part = query.part == "test" ? &source.data->test : query.part == "train" ? &source.data->train : nullptr;
  return part && query.row < part->size() ? part : nullptr;
}

}  // namespace pathkernel
