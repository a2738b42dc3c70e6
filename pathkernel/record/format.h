#pragma once

#include <pathkernel/core/tensors.h>
#include <pathkernel/record/database.h>
#include <pathkernel/record/recording.h>

#include <nlohmann/json_fwd.hpp>

#include <string>

/// What both the recorder and the reader must know of the format (docs/recording.md).
namespace pathkernel::format {

inline constexpr const char* database_name = "recording.sqlite";
inline constexpr const char* checkpoint_folder = "checkpoints";
/// SQLite's application_id: the letters "PKRN".
inline constexpr int64_t application_id = 0x504B524E;

inline constexpr const char* tables = R"(
CREATE TABLE manifest(key TEXT PRIMARY KEY, value TEXT NOT NULL);
CREATE TABLE steps(step INTEGER PRIMARY KEY, indices BLOB NOT NULL, random_seed TEXT NOT NULL, lr REAL NOT NULL,
                   loss REAL NOT NULL, hash TEXT NOT NULL, checksum TEXT NOT NULL);
CREATE TABLE groups(step INTEGER PRIMARY KEY, value TEXT NOT NULL, checksum TEXT NOT NULL);
CREATE TABLE planned(step INTEGER PRIMARY KEY, indices BLOB NOT NULL);
CREATE TABLE checkpoints(step INTEGER PRIMARY KEY, file TEXT NOT NULL, bytes INTEGER NOT NULL, checksum TEXT NOT NULL);
)";

/// What a reader tells whoever has a damaged recording.
inline constexpr const char* advice = "restore it from a copy, or train again";

/// "checkpoints/step-00000031.safetensors", relative to the recording's folder.
std::string checkpoint_file(int64_t step);

/// parameters/…, buffers/…, optimizer/…, average/…; one list for the safetensors file.
NamedTensors flatten(const Checkpoint& checkpoint);
/// @throws CorruptData for a name outside the four groups.
Checkpoint unflatten(int64_t step, const NamedTensors& tensors);

/// The memory order of those that do not lie row by row (a transposed weight, channels_last): {"NAME": strides} as JSON; empty where all do.
/// Kernels go by it, and so do the bits of a step.
std::string strides_of(const NamedTensors& tensors);
/// Puts them into that order again. @throws CorruptData for strides that no such tensor has.
void lay_out(NamedTensors& tensors, const std::string& strides);

/// The hash a log line holds: parameters in the model's order, then buffers.
uint64_t state_hash(const NamedTensors& parameters, const NamedTensors& buffers);

/// int64, little endian, one after another.
std::string index_bytes(const Tensor& indices);
/// @throws CorruptData when the length is no multiple of eight.
Tensor indices_from(const std::string& bytes, int64_t step);

/// XXH3 of a line of the step log: SQLite itself does not notice a changed bit.
uint64_t checksum(const StepRecord& record);
/// Of a line of the table `groups`.
uint64_t checksum_of_groups(int64_t step, const std::string& groups);
/// XXH3 of the table `manifest` but for its entry "checksum", which is this.
uint64_t manifest_checksum(Database& database);
/// Writes one entry of the manifest; seal() its checksum, after the last put() of a transaction.
void put(Database& database, const std::string& key, const nlohmann::json& value);
void seal(Database& database);

/// Sixteen hexadecimal digits. @throws CorruptData for anything else.
uint64_t parse_hex(const std::string& text);

std::string status_name(RunStatus status);
RunStatus parse_status(const std::string& name);

/// One member per key of the table `manifest`.
nlohmann::json to_json(const Manifest& manifest);
/// @throws CorruptData naming the key that is missing or of another type.
Manifest manifest_from(const nlohmann::json& json);

}  // namespace pathkernel::format
