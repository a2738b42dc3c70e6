#include <pathkernel/core/error.h>
#include <pathkernel/core/hash.h>
#include <pathkernel/data/safetensors.h>
#include <pathkernel/record/database.h>
#include <pathkernel/record/format.h>
#include <pathkernel/record/recorder.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

#include <chrono>
#include <cmath>
#include <filesystem>
#include <future>
#include <optional>

namespace pathkernel {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

/// An empty folder, made where there is none.
std::string prepared(const std::string& folder) {
  std::error_code error;
  if (fs::exists(folder, error) && !(fs::is_directory(folder, error) && fs::is_empty(folder, error)))
    throw InvalidInput(fmt::format("{}: exists and is not empty; record into a new folder, or remove this one first", folder));
  fs::create_directories(fs::path(folder) / format::checkpoint_folder, error);
  if (error) throw InvalidInput(fmt::format("{}: cannot be made ({})", folder, error.message()));
  return folder;
}

/// A checkpoint's row, once its file is on the disk.
struct WrittenCheckpoint {
  int64_t step = 0, bytes = 0;
  std::string file, checksum;
};

WrittenCheckpoint write_checkpoint(const std::string& folder, int64_t step, const NamedTensors& tensors) {
  const std::string file = format::checkpoint_file(step);
  const std::string path = (fs::path(folder) / file).string();
  write_safetensors(path, tensors, {{"pathkernel", "checkpoint"}, {"step", std::to_string(step)}});
  return {step, static_cast<int64_t>(fs::file_size(path)), file, hex(hash_of_file(path))};
}

}  // namespace

struct Recorder::Impl {
  std::string folder;
  int64_t every;
  Database database;
  bool in_transaction = false;
  Clock::time_point last_commit = Clock::now();
  std::optional<Statement> insert_step;
  /// The checkpoint being written. Waiting for the disk on another thread takes 4 % off LeNet's training time.
  std::future<WrittenCheckpoint> pending;

  Impl(const std::string& folder, const Manifest& manifest)
      : folder(prepared(folder)),
        every(manifest.checkpoint_every),
        database((fs::path(folder) / format::database_name).string(), Database::Access::create) {
    // A write-ahead log: a commit waits for no disk (a rollback journal's syncs cost a tenth of LeNet's training), readers may look
    // on, and after a kill or a power cut whoever opens the database next finds it as of a commit.
    database.run("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;");
    database.run(fmt::format("PRAGMA application_id={}; PRAGMA user_version={};", format::application_id, recording_format_version));
    transaction();
    database.run(format::tables);
    const nlohmann::json entries = format::to_json(manifest);
    for (const auto& [key, value] : entries.items()) put(key, value);
    put("status", format::status_name(RunStatus::running));
    commit();
    insert_step = database.prepare("INSERT INTO steps VALUES(?, ?, ?, ?, ?, ?)");
  }

  void transaction() {
    if (!in_transaction) database.run("BEGIN IMMEDIATE");
    in_transaction = true;
  }

  void commit() {
    if (in_transaction) database.run("COMMIT");
    in_transaction = false;
    last_commit = Clock::now();
  }

  /// Waits for the checkpoint being written, and enters it. @throws what went wrong with it
  void settle() {
    if (!pending.valid()) return;
    const WrittenCheckpoint written = pending.get();
    transaction();
    Statement insert = database.prepare("INSERT OR REPLACE INTO checkpoints VALUES(?, ?, ?, ?)");
    insert.bind(1, written.step).bind_text(2, written.file).bind(3, written.bytes).bind_text(4, written.checksum).next();
  }

  void put(const std::string& key, const nlohmann::json& value) {
    transaction();
    Statement statement = database.prepare("INSERT OR REPLACE INTO manifest VALUES(?, ?)");
    statement.bind_text(1, key).bind_text(2, value.dump()).next();
  }
};

Recorder::Recorder(const std::string& folder, const Manifest& manifest) : impl_(std::make_unique<Impl>(folder, manifest)) {}

Recorder::~Recorder() {
  // Without finish() the run counts as interrupted; the steps made so far are worth keeping.
  try {
    impl_->settle();
    impl_->commit();
  } catch (const std::exception&) {
    // What was not committed is undone: the log ends one commit earlier.
  }
}

void Recorder::begin(const Checkpoint& initial) {
  impl_->put("initial_hash", hex(format::state_hash(initial.parameters, initial.buffers)));
  checkpoint(initial);
}

void Recorder::step(const StepRecord& record) {
  impl_->transaction();
  Statement& insert = *impl_->insert_step;
  insert.bind(1, record.step)
      .bind_blob(2, format::index_bytes(record.indices))
      .bind_text(3, hex(record.random_seed))
      .bind(4, record.lr)
      .bind(5, record.loss)
      .bind_text(6, hex(record.hash));
  insert.next();
  insert.reset();
  if (Clock::now() - impl_->last_commit > std::chrono::seconds(1)) impl_->commit();
}

bool Recorder::wants_checkpoint(int64_t s) const { return impl_->every > 0 && s % impl_->every == 0; }

void Recorder::checkpoint(const Checkpoint& state) {
  impl_->settle();
  impl_->commit();
  NamedTensors tensors = format::flatten(state);
  for (auto& t : tensors) t.tensor = t.tensor.clone();  // training goes on while the file is written
  impl_->pending = std::async(std::launch::async, write_checkpoint, impl_->folder, state.step, std::move(tensors));
}

void Recorder::finish(RunStatus status) {
  impl_->settle();
  impl_->put("status", format::status_name(status));
  impl_->commit();
  impl_->insert_step.reset();
  try {
    impl_->database.run("PRAGMA journal_mode=DELETE");  // synced, and one file again
  } catch (const InvalidInput&) {
    // Somebody is reading: the log is folded in when the last reader is gone.
  }
}

int64_t checkpoint_spacing(int64_t steps, int64_t bytes, int64_t budget) {
  if (steps <= 0) return 1;
  const auto root = static_cast<int64_t>(std::ceil(std::sqrt(static_cast<double>(steps))));
  if (budget <= 0 || bytes <= 0) return root;
  // Spacing k keeps one at 0, one at T and those between: at most ⌈T/k⌉ + 1.
  const int64_t affordable = std::max<int64_t>(1, budget / bytes - 1);
  return std::max(root, (steps + affordable - 1) / affordable);
}

}  // namespace pathkernel
