#include <pathkernel/core/error.h>
#include <pathkernel/core/hash.h>
#include <pathkernel/core/json.h>
#include <pathkernel/data/batch_order.h>
#include <pathkernel/data/safetensors.h>
#include <pathkernel/record/database.h>
#include <pathkernel/record/format.h>
#include <pathkernel/record/recording.h>

#include <fmt/format.h>

#include <filesystem>
#include <string_view>

namespace pathkernel {
namespace {

namespace fs = std::filesystem;

constexpr const char* how_to_record = "record one with `pathkernel train --out FOLDER`";

std::string database_in(const std::string& folder) {
  const fs::path path = fs::path(folder) / format::database_name;
  std::error_code error;
  if (!fs::exists(folder, error)) throw InvalidInput(fmt::format("{}: no such folder; {}", folder, how_to_record));
  if (!fs::is_directory(folder, error)) throw InvalidInput(fmt::format("{}: is no folder; a recording is one; {}", folder, how_to_record));
  if (!fs::exists(path, error))
    throw InvalidInput(fmt::format("{}: is no recording (it has no {}); {}", folder, format::database_name, how_to_record));
  if (fs::file_size(path, error) == 0)
    throw CorruptData(fmt::format("{}: is empty; {}", path.string(), format::advice));
  return path.string();
}

void check_format(Database& database) {
  const int64_t application = database.number("PRAGMA application_id");
  const int64_t version = database.number("PRAGMA user_version");
  if (application != format::application_id)
    throw InvalidInput(fmt::format("{}: is a database of another program, no recording of pathkernel; {}", database.path(), how_to_record));
  if (version < oldest_recording_format_version || version > recording_format_version)
    throw CorruptData(fmt::format("{}: has recording format version {}, but this program (pathkernel {}) reads versions {} to {}; use the "
                                  "pathkernel that recorded it, or train again",
                                  database.path(), version, PATHKERNEL_VERSION, oldest_recording_format_version, recording_format_version));
}

nlohmann::json read_manifest(Database& database) {
  nlohmann::json json = nlohmann::json::object();
  for (Statement rows = database.prepare("SELECT key, value FROM manifest"); rows.next();)
    json[rows.text(0)] = parse_json(rows.text(1), fmt::format("{}: the manifest's entry \"{}\"", database.path(), rows.text(0)));
  return json;
}

/// What `read` gives; what is wrong with it is said with the file's name before it, where it does not stand there already.
template <typename Read>
auto in_file(const std::string& path, Read&& read) {
  try {
    return read();
  } catch (const nlohmann::json::exception& error) {
    throw CorruptData(fmt::format("{}: the manifest cannot be read ({}); {}", path, error.what(), format::advice));
  } catch (const CorruptData& error) {
    if (std::string_view(error.what()).starts_with(path)) throw;
    throw CorruptData(fmt::format("{}: {}; {}", path, error.what(), format::advice));
  }
}

}  // namespace

struct Recording::Impl {
  std::string folder;
  Database database;
  Manifest manifest;
  RunStatus status = RunStatus::running;
  uint64_t initial_hash = 0, plan_hash = 0;
  std::string order;  ///< of the examples: "shuffled" (it follows from the seed), "listed", or "live" (it is what the log has)
  int64_t steps = 0, version = 0;
  Statement select_step, select_checkpoint;

  explicit Impl(const std::string& folder)
      : folder(folder), database(database_in(folder), Database::Access::existing), select_step(checked().prepare(
            "SELECT indices, random_seed, lr, loss, hash, checksum FROM steps WHERE step = ?")),
        select_checkpoint(database.prepare("SELECT file, checksum FROM checkpoints WHERE step = ?")) {
    in_file(database.path(), [&] { read_header(); });
  }

  void read_header() {
    // One moment of a run that may be going on: status and log belong together.
    database.run("BEGIN");
    version = database.number("PRAGMA user_version");
    const nlohmann::json json = read_manifest(database);
    if (json.value("checksum", "") != hex(format::manifest_checksum(database))) throw CorruptData("the manifest was changed or damaged since it was written");
    manifest = format::manifest_from(json);
    status = format::parse_status(json.at("status").get<std::string>());
    initial_hash = format::parse_hex(json.at("initial_hash").get<std::string>());
    order = json.at("batches").at("order").get<std::string>();
    plan_hash = format::parse_hex(json.at("batches").at("hash").get<std::string>());
    steps = database.number("SELECT count(*) FROM steps");
    const bool whole = steps == 0 || database.number("SELECT max(step) FROM steps") == steps - 1;
    if (!whole || (status != RunStatus::running && json.at("steps_made") != steps)) throw CorruptData("steps are missing from the log");
    if (database.number("SELECT count(*) FROM checkpoints WHERE step = 0") == 0) throw CorruptData("its list of checkpoints does not begin with step 0");
    database.run("COMMIT");
  }

  /// The tables are only looked for in a database of this format.
  Database& checked() {
    check_format(database);
    return database;
  }

  /// Hash of the weights at the start of step s.
  uint64_t hash_before(int64_t s);
  StepRecord read_step(int64_t s);
  StepRecord read_line(int64_t s);
  std::string read_groups(int64_t s);
  Tensors read_plan();
  Checkpoint read_checkpoint(int64_t s);
};

uint64_t Recording::Impl::hash_before(int64_t s) { return s == 0 ? initial_hash : read_step(s - 1).hash; }

StepRecord Recording::Impl::read_step(int64_t s) {
  if (s < 0 || s >= steps) throw InvalidInput(fmt::format("{}: has no step {}; its steps are 0 to {}", folder, s, steps - 1));
  return in_file(database.path(), [&] { return read_line(s); });
}

StepRecord Recording::Impl::read_line(int64_t s) {
  select_step.reset();
  if (!select_step.bind(1, s).next()) throw CorruptData(fmt::format("step {} is missing from the log", s));
  StepRecord record;
  record.step = s;
  record.indices = format::indices_from(select_step.blob(0), s);
  record.random_seed = format::parse_hex(select_step.text(1));
  record.lr = select_step.real(2);
  record.loss = select_step.real(3);
  record.hash = format::parse_hex(select_step.text(4));
  record.groups = read_groups(s);
  const std::string written = select_step.text(5);
  select_step.reset();
  if (written != hex(format::checksum(record))) throw CorruptData(fmt::format("the log's line of step {} was changed or damaged since it was written", s));
  return record;
}

std::string Recording::Impl::read_groups(int64_t s) {
  if (version < 4) return {};
  Statement select = database.prepare("SELECT step, value, checksum FROM groups WHERE step <= ? ORDER BY step DESC LIMIT 1");
  if (!select.bind(1, s).next()) return {};
  std::string groups = select.text(1);
  if (select.text(2) != hex(format::checksum_of_groups(select.integer(0), groups)))
    throw CorruptData(fmt::format("the optimizer's settings of step {} were changed or damaged since they were written", select.integer(0)));
  return groups;
}

Tensors Recording::Impl::read_plan() {
  Tensors plan;
  if (order == "live") {
    for (int64_t s = 0; s < steps; ++s) plan.push_back(read_step(s).indices);
    return plan;
  }
  if (order == "shuffled") {
    plan = shuffled_batches(manifest.examples, manifest.batch, manifest.epochs, manifest.seed);
  } else {
    Statement rows = database.prepare("SELECT step, indices FROM planned ORDER BY step");
    while (rows.next()) plan.push_back(format::indices_from(rows.blob(1), rows.integer(0)));
  }
  if (hash_of(plan) != plan_hash) throw CorruptData("the examples that its steps are to draw are not those that the run began with");
  return plan;
}

Checkpoint Recording::Impl::read_checkpoint(int64_t s) {
  select_checkpoint.reset();
  if (!select_checkpoint.bind(1, s).next()) throw InvalidInput(fmt::format("{}: there is no checkpoint of step {}", folder, s));
  const fs::path path = fs::path(folder) / select_checkpoint.text(0);
  const uint64_t recorded = in_file(database.path(), [&] { return format::parse_hex(select_checkpoint.text(1)); });
  select_checkpoint.reset();

  constexpr const char* advice = format::advice;
  if (!fs::exists(path)) throw CorruptData(fmt::format("{}: this checkpoint is missing; {}", path.string(), advice));
  if (const uint64_t found = hash_of_file(path.string()); found != recorded)
    throw CorruptData(fmt::format("{}: this checkpoint was changed or damaged since it was written (checksum {} instead of {}); {}",
                                  path.string(), hex(found), hex(recorded), advice));
  SafetensorsFile file = read_safetensors(path.string());
  Checkpoint checkpoint = in_file(path.string(), [&] {
    if (file.metadata.contains("strides")) format::lay_out(file.tensors, file.metadata["strides"]);
    return format::unflatten(s, file.tensors);
  });
  if (format::state_hash(checkpoint.parameters, checkpoint.buffers) != hash_before(s))
    throw CorruptData(fmt::format("{}: holds other weights than the log has for step {}; {}", path.string(), s, advice));
  return checkpoint;
}

Recording Recording::open(const std::string& folder) { return Recording(std::make_unique<Impl>(folder)); }

Recording::Recording(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Recording::Recording(Recording&&) noexcept = default;
Recording& Recording::operator=(Recording&&) noexcept = default;
Recording::~Recording() = default;

const std::string& Recording::folder() const { return impl_->folder; }
const Manifest& Recording::manifest() const { return impl_->manifest; }
RunStatus Recording::status() const { return impl_->status; }
int64_t Recording::steps() const { return impl_->steps; }
std::string Recording::progress() const { return manifest().steps == 0 ? fmt::format("{} steps", steps()) : fmt::format("{} of {} steps", steps(), manifest().steps); }
StepRecord Recording::step(int64_t s) const { return impl_->read_step(s); }
uint64_t Recording::initial_hash() const { return impl_->initial_hash; }
Tensors Recording::planned_batches() const {
  return in_file(impl_->database.path(), [&] { return impl_->read_plan(); });
}

Checkpoint Recording::checkpoint(int64_t step) const { return impl_->read_checkpoint(step); }

std::vector<int64_t> Recording::checkpoint_steps() const {
  std::vector<int64_t> steps;
  // A checkpoint and the steps before it are committed together; one past the log would belong to no state.
  Statement rows = impl_->database.prepare("SELECT step FROM checkpoints WHERE step <= ? ORDER BY step");
  rows.bind(1, impl_->steps);
  while (rows.next()) steps.push_back(rows.integer(0));
  return steps;
}

}  // namespace pathkernel
