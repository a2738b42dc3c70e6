#include <pathkernel/core/error.h>
#include <pathkernel/core/files.h>
#include <pathkernel/core/hash.h>
#include <pathkernel/core/json.h>
#include <pathkernel/data/safetensors.h>
#include <pathkernel/explain/ledger_file.h>
#include <pathkernel/explain/unfinished_ledger.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <algorithm>
#include <filesystem>
#include <vector>

namespace pathkernel {
namespace {

namespace fs = std::filesystem;
using json = nlohmann::json;

constexpr const char* state_name = "sweep.safetensors";
constexpr const char* ledger_name = "ledger";

/// The folder without a slash at its end.
fs::path plain(const std::string& folder) { return fs::path(fs::path(folder) / "").parent_path(); }

bool is_ours(const fs::path& entry) {
  const std::string name = entry.filename();
  return name.starts_with(state_name) || name.starts_with(ledger_name);
}

/// Removes what a killed process left half-written.
void clear(const fs::path& folder) {
  std::vector<fs::path> half_written;
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (!is_ours(entry.path()))
      throw InvalidInput(fmt::format("explain: {} holds {}, which is not of an unfinished ledger; remove it, or choose another --out",
                                     folder.string(), entry.path().filename().string()));
    if (entry.path().filename() != state_name) half_written.push_back(entry.path());
  }
  std::error_code ignored;
  for (const fs::path& path : half_written) fs::remove_all(path, ignored);
}

/// Of everything in the file: names, numbers, what was asked for.
std::string state_hash(const NamedTensors& tensors, const std::string& request) {
  std::string text = request + hex(hash_of(values(tensors)));
  for (const NamedTensor& t : tensors) text += "\n" + t.name;
  return hex(hash_of_bytes(text));
}

/// "measure logits instead of log-odds; steps 90 instead of 100"
std::string difference(const json& now, const json& then) {
  std::string text;
  for (const auto& [name, value] : now.items())
    if (const std::string before = then.value(name, "none"); before != value)
      text += fmt::format("{}{} {} instead of {}", text.empty() ? "" : "; ", name, value.get<std::string>(), before);
  return text;
}

}  // namespace

UnfinishedLedger::UnfinishedLedger(const std::string& out, const std::map<std::string, std::string>& request, double seconds)
    : out_(plain(out).string()), folder_(out_ + ".partial"), request_(json(request).dump()), made_(folder_), lock_(folder_, "explaining"), seconds_(seconds),
      next_(Clock::now() + std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds))) {
  clear(folder_);
  read();
}

UnfinishedLedger::~UnfinishedLedger() {
  std::error_code ignored;
  if (holds_state_) made_.keep();
  else fs::remove_all(folder_, ignored);
}

void UnfinishedLedger::read() {
  const std::string path = (fs::path(folder_) / state_name).string();
  if (!fs::exists(path)) return;
  holds_state_ = true;
  SafetensorsFile file = read_safetensors(path);
  const std::string asked = file.metadata["request"];
  if (file.metadata["hash"] != state_hash(file.tensors, asked))
    throw CorruptData(fmt::format("explain: {} was changed or damaged since it was written; remove {} to begin anew", path, folder_));
  const json then = parse_json(asked, "what was asked for, in " + path);
  if (const std::string changed = difference(json::parse(request_), then); !changed.empty())
    throw InvalidInput(fmt::format("explain: {} holds the beginning of another ledger ({}); repeat that command to finish it, remove the folder to begin anew, "
                                   "or choose another --out", folder_, changed));
  kept_.emplace(std::move(file.tensors));
}

bool UnfinishedLedger::due() { return seconds_ > 0 && Clock::now() >= next_; }

void UnfinishedLedger::keep(const SweepState& state) {
  const auto begin = Clock::now();
  kept_.reset();  // it was taken up, and takes room
  write_safetensors((fs::path(folder_) / state_name).string(), state.tensors(), {{"request", request_}, {"hash", state_hash(state.tensors(), request_)}});
  holds_state_ = true;
  const auto took = Clock::now() - begin;
  next_ = Clock::now() + std::max(20 * took, std::chrono::duration_cast<Clock::duration>(std::chrono::duration<double>(seconds_)));
}

void UnfinishedLedger::publish(const Ledger& ledger) {
  const fs::path whole = fs::path(folder_) / ledger_name;
  save(ledger, whole.string());
  std::error_code error;
  fs::create_directories(fs::path(out_).parent_path(), error);
  rename_durably(whole.string(), out_);
  holds_state_ = false;
  made_.keep();
}

}  // namespace pathkernel
