#include <pathkernel/core/error.h>
#include <pathkernel/core/files.h>
#include <pathkernel/core/hash.h>
#include <pathkernel/core/made_folder.h>
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
#include <map>

namespace pathkernel {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

/// Where a database is made; it gets its name when everything before the first step is in it.
constexpr const char* unfinished_database = "recording.sqlite.new";

bool begins_with(const fs::path& path, const std::string& name) { return path.filename().string().starts_with(name); }

/// True when nothing is in `folder` but what a recording leaves that is killed before its database has its name.
bool holds_only_leftovers(const fs::path& folder) {
  const std::string first = fs::path(format::checkpoint_file(0)).filename();
  for (const auto& entry : fs::directory_iterator(folder)) {
    if (entry.is_regular_file() && begins_with(entry.path(), unfinished_database)) continue;
    if (!entry.is_directory() || entry.path().filename() != format::checkpoint_folder) return false;
    for (const auto& file : fs::directory_iterator(entry.path()))
      if (!file.is_regular_file() || !begins_with(file.path(), first)) return false;
  }
  return true;
}

void remove_leftovers(const fs::path& folder) {
  std::error_code ignored;
  for (const auto& entry : fs::directory_iterator(folder, ignored))
    if (begins_with(entry.path(), unfinished_database) || entry.path().filename() == format::checkpoint_folder) fs::remove_all(entry.path(), ignored);
}

/// A checkpoint's row, once its file is on the disk.
struct WrittenCheckpoint {
  int64_t step = 0, bytes = 0;
  std::string file, checksum;
};

WrittenCheckpoint write_checkpoint(const std::string& folder, int64_t step, const NamedTensors& tensors) {
  const std::string file = format::checkpoint_file(step);
  const std::string path = (fs::path(folder) / file).string();
  std::map<std::string, std::string> metadata = {{"pathkernel", "checkpoint"}, {"step", std::to_string(step)}};
  if (std::string strides = format::strides_of(tensors); !strides.empty()) metadata["strides"] = std::move(strides);
  write_safetensors(path, tensors, metadata);
  return {step, static_cast<int64_t>(fs::file_size(path)), file, hex(hash_of_file(path))};
}

void enter(Database& database, const WrittenCheckpoint& c) {
  Statement insert = database.prepare("INSERT OR REPLACE INTO checkpoints VALUES(?, ?, ?, ?)");
  insert.bind(1, c.step).bind_text(2, c.file).bind(3, c.bytes).bind_text(4, c.checksum).next();
}

/// Everything before the first step.
void fill(Database& database, const Manifest& manifest, const Checkpoint& initial, const Tensors& planned, uint64_t plan_hash,
          const WrittenCheckpoint& first) {
  database.run(fmt::format("PRAGMA application_id={}; PRAGMA user_version={}; BEGIN", format::application_id, recording_format_version));
  database.run(format::tables);
  const nlohmann::json entries = format::to_json(manifest);
  for (const auto& [key, value] : entries.items()) format::put(database, key, value);
  format::put(database, "status", format::status_name(RunStatus::running));
  format::put(database, "initial_hash", hex(format::state_hash(initial.parameters, initial.buffers)));
  format::put(database, "batches", {{"order", manifest.steps == 0 ? "live" : planned.empty() ? "shuffled" : "listed"}, {"hash", hex(plan_hash)}});
  format::seal(database);
  Statement plan = database.prepare("INSERT INTO planned VALUES(?, ?)");
  for (size_t s = 0; s < planned.size(); ++s) {
    plan.bind(1, static_cast<int64_t>(s)).bind_blob(2, format::index_bytes(planned[s])).next();
    plan.reset();
  }
  enter(database, first);
  database.run("COMMIT");
}

FolderLock create(const std::string& folder, const Manifest& manifest, const Checkpoint& initial, const Tensors& planned, uint64_t plan_hash) {
  MadeFolder made(folder);
  FolderLock lock(folder, "recording");
  Recorder::check_vacant(folder);
  remove_leftovers(folder);
  try {
    fs::create_directory(fs::path(folder) / format::checkpoint_folder);
    const std::string unfinished = (fs::path(folder) / unfinished_database).string();
    const WrittenCheckpoint first = write_checkpoint(folder, 0, format::flatten(initial));
    {
      Database database(unfinished, Database::Access::create);
      fill(database, manifest, initial, planned, plan_hash, first);
    }
    rename_durably(unfinished, (fs::path(folder) / format::database_name).string());
  } catch (const fs::filesystem_error& error) {
    remove_leftovers(folder);
    throw InvalidInput(fmt::format("{}: cannot be written to ({})", folder, error.code().message()));
  } catch (...) {
    remove_leftovers(folder);
    throw;
  }
  made.keep();
  return lock;
}

}  // namespace

struct Recorder::Impl {
  FolderLock lock;
  std::string folder;
  Database database;
  int64_t every, last_checkpoint;
  bool in_transaction = false;
  Clock::time_point last_commit = Clock::now();
  Statement insert_step;
  /// The checkpoint being written. Waiting for the disk on another thread takes 4 % off LeNet's training time.
  std::future<WrittenCheckpoint> pending;

  explicit Impl(FolderLock held)
      : lock(std::move(held)),
        folder(lock.folder()),
        database((fs::path(folder) / format::database_name).string(), Database::Access::existing),
        every(database.number("SELECT value FROM manifest WHERE key = 'checkpoint_every'")),
        last_checkpoint(database.number("SELECT max(step) FROM checkpoints")),
        insert_step(database.prepare("INSERT INTO steps VALUES(?, ?, ?, ?, ?, ?, ?)")) {
    // A write-ahead log: a commit waits for no disk (a rollback journal's syncs cost a tenth of LeNet's training), readers may look
    // on, and after a kill or a power cut whoever opens the database next finds it as of a commit.
    database.run("PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL;");
    std::error_code ignored;
    for (const auto& file : fs::directory_iterator(fs::path(folder) / format::checkpoint_folder, ignored))
      if (file.path().filename().string().find(".part-") != std::string::npos) fs::remove(file.path(), ignored);
  }

  /// Nobody planned how many steps there would be (LiveRun).
  bool is_live() { return database.number("SELECT value FROM manifest WHERE key = 'steps'") == 0; }

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
    enter(database, written);
  }
};

Recorder::Recorder(const std::string& folder, const Manifest& manifest, const Checkpoint& initial, const Tensors& planned, uint64_t plan_hash)
    : Recorder(create(folder, manifest, initial, planned, plan_hash)) {}

Recorder::Recorder(FolderLock lock) : impl_(std::make_unique<Impl>(std::move(lock))) {}

Recorder::~Recorder() {
  // Without finish() the run counts as interrupted; the steps made so far are worth keeping.
  try {
    impl_->settle();
    impl_->commit();
  } catch (const std::exception&) {
    // What was not committed is undone: the log ends one commit earlier.
  }
}

void Recorder::check_vacant(const std::string& folder) {
  std::error_code error;
  if (!fs::exists(folder, error)) return;
  if (!fs::is_directory(folder, error)) throw InvalidInput(fmt::format("{}: exists and is no folder; record into a new folder", folder));
  if (fs::exists(fs::path(folder) / format::database_name, error))
    throw InvalidInput(fmt::format("{}: exists and is not empty, it holds a recording; record into a new folder, or go on with this one "
                                   "(`pathkernel resume {}`)", folder, folder));
  if (!holds_only_leftovers(folder))
    throw InvalidInput(fmt::format("{}: exists and is not empty; record into a new folder, or remove this one first", folder));
}

void Recorder::step(const StepRecord& record) {
  impl_->transaction();
  Statement& insert = impl_->insert_step;
  insert.bind(1, record.step)
      .bind_blob(2, format::index_bytes(record.indices))
      .bind_text(3, hex(record.random_seed))
      .bind(4, record.lr)
      .bind(5, record.loss)
      .bind_text(6, hex(record.hash))
      .bind_text(7, hex(format::checksum(record)));
  insert.next();
  insert.reset();
  if (!record.groups.empty()) {
    Statement groups = impl_->database.prepare("INSERT INTO groups VALUES(?, ?, ?)");
    groups.bind(1, record.step).bind_text(2, record.groups).bind_text(3, hex(format::checksum_of_groups(record.step, record.groups))).next();
  }
  if (Clock::now() - impl_->last_commit > std::chrono::seconds(1)) impl_->commit();
}

bool Recorder::wants_checkpoint(int64_t s) const {
  if (impl_->every > 0) return s % impl_->every == 0;
  return static_cast<double>(s - impl_->last_checkpoint) >= std::max(16.0, std::sqrt(static_cast<double>(s)));
}

void Recorder::checkpoint(const Checkpoint& state) {
  impl_->settle();
  impl_->commit();
  impl_->last_checkpoint = state.step;
  NamedTensors tensors = format::flatten(state);
  for (auto& t : tensors) t.tensor = t.tensor.clone();  // training goes on while the file is written
  impl_->pending = std::async(std::launch::async, write_checkpoint, impl_->folder, state.step, std::move(tensors));
}

void Recorder::finish(RunStatus status) {
  impl_->settle();
  if (status != RunStatus::running) {
    impl_->transaction();
    format::put(impl_->database, "status", format::status_name(status));
    const int64_t made = impl_->database.number("SELECT count(*) FROM steps");
    format::put(impl_->database, "steps_made", made);
    if (impl_->is_live()) format::put(impl_->database, "steps", made);
    format::seal(impl_->database);
  }
  impl_->commit();
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
