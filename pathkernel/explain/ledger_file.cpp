#include <pathkernel/explain/ledger_file.h>

#include <pathkernel/core/error.h>
#include <pathkernel/core/files.h>
#include <pathkernel/core/hash.h>
#include <pathkernel/core/json.h>
#include <pathkernel/data/safetensors.h>
#include <pathkernel/explain/agreement.h>

#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>
#include <unistd.h>

#include <cmath>
#include <filesystem>
#include <limits>
#include <map>

namespace pathkernel {
namespace {

namespace fs = std::filesystem;
using json = nlohmann::json;

constexpr const char* json_name = "ledger.json";
constexpr const char* tensors_name = "ledger.safetensors";
constexpr const char* format_name = "pathkernel ledger";
constexpr const char* manifest_hash = "manifest_hash";

/// Where a tensor belongs: into every ledger; where it is known; into one that is whole; into a whole account, which has draws; into one that keeps the largest contributions.
enum class In { every, known, whole, draws, largest };

/// One tensor of the format. `sizes` has a letter a dimension: N examples, Q queries, D draws, T steps, U = T+1, L layers,
/// C classes, K contributions kept of each query, F and M as many as there are.
struct Field {
  const char* name;
  Tensor& (*of)(Ledger&);
  at::ScalarType dtype;
  const char* sizes;
  In in = In::every;
};

#define OF(member) [](Ledger& l) -> Tensor& { return l.member; }
const Field fields[] = {
    {"contributions", OF(contributions), at::kDouble, "NQ", In::whole},
    {"kept", OF(kept), at::kDouble, "KQ", In::largest},
    {"kept_examples", OF(kept_examples), at::kLong, "KQ", In::largest},
    {"dropped", OF(dropped), at::kDouble, "Q", In::largest},
    {"dropped_size", OF(dropped_size), at::kDouble, "Q", In::largest},
    {"dropped_count", OF(dropped_count), at::kLong, "Q", In::largest},
    {"initial", OF(initial), at::kDouble, "Q"},
    {"final", OF(final), at::kDouble, "Q"},
    {"decay", OF(decay), at::kDouble, "Q"},
    {"regulariser", OF(regulariser), at::kDouble, "Q"},
    {"in_flight", OF(in_flight), at::kDouble, "Q"},
    {"buffers", OF(buffers), at::kDouble, "Q"},
    {"jumps", OF(jumps), at::kDouble, "Q"},
    {"rounding", OF(rounding), at::kDouble, "Q"},
    {"residual", OF(residual), at::kDouble, "Q"},
    {"draws", OF(draws), at::kFloat, "DQ", In::draws},
    {"draw_step", OF(draw_step), at::kLong, "D", In::draws},
    {"draw_example", OF(draw_example), at::kLong, "D", In::draws},
    {"by_step", OF(by_step), at::kDouble, "TQ"},
    {"by_layer", OF(by_layer), at::kDouble, "LQ"},
    {"by_class", OF(by_class), at::kDouble, "CQ"},
    {"by_layer_step", OF(by_layer_step), at::kFloat, "TLQ", In::draws},
    {"by_class_step", OF(by_class_step), at::kFloat, "TCQ", In::draws},
    {"outputs", OF(outputs), at::kDouble, "UQ"},
    {"path_kernel", OF(path_kernel), at::kDouble, "NQ", In::known},
    {"statistics", OF(statistics), at::kDouble, "NQ", In::known},
    {"first_statistics", OF(first_statistics), at::kDouble, "Q", In::known},
    {"query_inputs", OF(query_inputs), at::kDouble, "QF", In::known},
    {"example_inputs", OF(example_inputs), at::kDouble, "NF", In::known},
    {"example_targets", OF(example_targets), at::kDouble, "N", In::known},
    {"certificate.residual_to_contributions", OF(certificate.residual_to_contributions), at::kDouble, "Q"},
    {"certificate.residual_to_change", OF(certificate.residual_to_change), at::kDouble, "Q"},
    {"certificate.rounding_to_change", OF(certificate.rounding_to_change), at::kDouble, "Q"},
    {"certificate.split_uncertainty", OF(certificate.split_uncertainty), at::kDouble, "Q", In::known},
    {"certificate.quadrature_defect", OF(certificate.quadrature_defect), at::kDouble, "Q", In::known},
    {"certificate.stride_deviation", OF(certificate.stride_deviation), at::kDouble, "M", In::known},
};
#undef OF

/// The first tensor that is missing or is not what the format says; "" when all fit.
std::string first_misfit(Ledger& ledger) {
  const int64_t T = ledger.settings.last_step - ledger.settings.first_step;
  std::map<char, int64_t> size{{'Q', static_cast<int64_t>(ledger.queries.size())}, {'T', T}, {'U', T + 1},
                               {'L', static_cast<int64_t>(ledger.layers.size())}, {'C', static_cast<int64_t>(ledger.classes.size())}};
  for (const Field& field : fields) {
    const Tensor& t = field.of(ledger);
    const bool whole = !ledger.keeps_largest(), draws = whole && ledger.settings.is_account();
    const bool required = field.in == In::every || (field.in == In::largest && !whole) || (field.in == In::whole && whole) || (field.in == In::draws && draws);
    if (t.defined() && !required && field.in != In::known)
      return fmt::format("tensor '{}' does not go with '{}': a ledger holds all contributions, or the largest of each query", field.name, ledger.keeps_largest() ? "kept" : "contributions");
    if (!t.defined()) {
      if (!required) continue;
      return fmt::format("tensor '{}' is missing", field.name);
    }
    const std::string letters = field.sizes;
    bool fits = t.scalar_type() == field.dtype && t.dim() == static_cast<int64_t>(letters.size());
    std::vector<std::string> expected;
    for (size_t d = 0; d < letters.size(); ++d) {
      const bool known = size.contains(letters[d]);
      expected.push_back(known ? fmt::format("{}={}", letters[d], size[letters[d]]) : std::string(1, letters[d]));
      if (!fits) continue;
      if (!known) size[letters[d]] = t.size(static_cast<int64_t>(d));
      fits = size[letters[d]] == t.size(static_cast<int64_t>(d));
    }
    if (!fits)
      return fmt::format("tensor '{}' is {}, expected {} [{}]", field.name, describe(t), c10::toString(field.dtype), fmt::join(expected, ", "));
  }
  return {};
}

/// XXH3 of every tensor, by name: a reader can tell which one was damaged, and tensors may be added without a new version.
json hashes(Ledger& ledger) {
  json all = json::object();
  for (const Field& field : fields)
    if (const Tensor& t = field.of(ledger); t.defined()) all[field.name] = hex(hash_of(Tensors{t}));
  return all;
}

double number_from(const json& x) { return x.is_null() ? std::numeric_limits<double>::quiet_NaN() : x.get<double>(); }

json to_json(Ledger& ledger) {
  const LedgerSettings& s = ledger.settings;
  const Certificate& c = ledger.certificate;
  json queries = json::array();
  for (const QueryInfo& q : ledger.queries)
    queries.push_back({{"input", q.input}, {"measurement", q.measurement}, {"row", q.row}, {"part", q.part},
                       {"target", q.target}, {"predicted", q.predicted}, {"set_size", q.set_size}});
  return {{"format", format_name},
          {"version", ledger_format_version},
          {"written_by", "pathkernel " PATHKERNEL_VERSION},
          {"identity", "final = initial + sum over examples of contributions (where only the largest are kept: of kept, + dropped) + decay + regulariser + in_flight + buffers + jumps + rounding + residual"},
          {"tensors", {{"file", tensors_name}, {"hashes", hashes(ledger)}}},
          {"settings",
           {{"recording", s.recording}, {"method", s.method}, {"rule", s.rule}, {"panels", s.panels}, {"convention", s.convention}, {"stride", s.stride},
            {"network", s.network}, {"regulariser", s.regulariser}, {"coupled", s.coupled},
            {"precision", s.precision}, {"measure", s.measure}, {"queries", s.queries}, {"first_step", s.first_step},
            {"last_step", s.last_step}}},
          {"queries", queries},
          {"layers", ledger.layers},
          {"classes", ledger.classes},
          {"certificate",
           {{"summary", s.summary_of(c)}, {"sampled_steps", c.sampled_steps}, {"correction_share", number_or_null(c.correction_share)},
            {"optimizer_mismatch", number_or_null(c.optimizer_mismatch)}, {"optimizer_bound", number_or_null(c.optimizer_bound)},
            {"replay_exact", c.replay_exact}, {"first_drift", c.first_drift}}}};
}

void from_json(const json& j, Ledger& ledger) {
  const json& s = j.at("settings");
  require_integers(s, {"panels", "stride", "first_step", "last_step"}, "its settings");
  LedgerSettings& out = ledger.settings;
  s.at("recording").get_to(out.recording);
  out.method = s.value("method", "");
  s.at("rule").get_to(out.rule);
  s.at("panels").get_to(out.panels);
  s.at("convention").get_to(out.convention);
  s.at("stride").get_to(out.stride);
  s.at("network").get_to(out.network);
  s.at("regulariser").get_to(out.regulariser);
  out.coupled = s.value("coupled", false);  // ledgers of an earlier version have none
  s.at("precision").get_to(out.precision);
  s.at("measure").get_to(out.measure);
  s.at("queries").get_to(out.queries);
  s.at("first_step").get_to(out.first_step);
  s.at("last_step").get_to(out.last_step);
  if (out.first_step < 0 || out.last_step < out.first_step || out.last_step == std::numeric_limits<int64_t>::max())
    throw CorruptData(fmt::format("its window is steps {} to {}", out.first_step, out.last_step));
  for (const json& q : j.at("queries")) {
    require_integers(q, {"row", "target", "predicted", "set_size"}, "a query");
    ledger.queries.push_back({q.at("input"), q.at("measurement"), q.at("row"), q.at("part"), q.at("target"), q.at("predicted"), q.value("set_size", int64_t(0))});
  }
  j.at("layers").get_to(ledger.layers);
  j.at("classes").get_to(ledger.classes);
  const json& c = j.at("certificate");
  require_integers(c, {"sampled_steps", "first_drift"}, "its certificate");
  c.at("sampled_steps").get_to(ledger.certificate.sampled_steps);
  ledger.certificate.correction_share = number_from(c.at("correction_share"));
  ledger.certificate.optimizer_mismatch = number_from(c.at("optimizer_mismatch"));
  ledger.certificate.optimizer_bound = number_from(c.at("optimizer_bound"));
  c.at("replay_exact").get_to(ledger.certificate.replay_exact);
  c.at("first_drift").get_to(ledger.certificate.first_drift);
}

/// The first tensor that the manifest states a hash of and that has another one, or is gone; "" when all agree (or it states none).
std::string first_damaged(const json& manifest, Ledger& ledger) {
  const json tensors = manifest.value("tensors", json::object());
  const json stated = tensors.is_object() ? tensors.value("hashes", json::object()) : json::object();
  const json actual = hashes(ledger);
  for (const Field& field : fields)
    if (stated.contains(field.name) && stated[field.name] != actual.value(field.name, json())) return field.name;
  return {};
}

/// A folder that disappears with what is in it unless it was kept.
class TemporaryFolder {
 public:
  explicit TemporaryFolder(fs::path path) : path_(std::move(path)) { fs::create_directory(path_); }
  ~TemporaryFolder() {
    std::error_code ignored;
    if (!path_.empty()) fs::remove_all(path_, ignored);
  }
  const fs::path& path() const { return path_; }
  void rename_to(const fs::path& name) {
    fs::rename(path_, name);
    path_.clear();
  }

 private:
  fs::path path_;
};

struct ManifestFile {
  json contents;
  std::string hash;  ///< of its bytes: ledger.safetensors has it too
};

ManifestFile read_manifest(const fs::path& folder) {
  const fs::path path = folder / json_name;
  if (!fs::is_regular_file(path))
    throw InvalidInput(fmt::format("load_ledger: '{}' is no ledger: it has no {}. A ledger is the folder that `pathkernel explain "
                                   "RUN --out FOLDER` writes.", folder.string(), json_name));
  const std::string text = read_file(path.string());
  json manifest = parse_json(text, fmt::format("load_ledger: {}", path.string()));
  if (!manifest.is_object() || manifest.value("format", json()) != format_name)
    throw InvalidInput(fmt::format("load_ledger: '{}' is no ledger: \"format\" in {} is not \"{}\"", folder.string(), json_name, format_name));
  if (const json version = manifest.value("version", json()); version != ledger_format_version)
    throw CorruptData(fmt::format("load_ledger: '{}' has format version {}, this program reads version {}; read it with the program "
                                  "that wrote it ({}) or make it again", folder.string(), version.dump(), ledger_format_version,
                                  manifest.value("written_by", json("unknown")).dump()));
  return {std::move(manifest), hex(hash_of_bytes(text))};
}

}  // namespace

void save(const Ledger& ledger, const std::string& folder) {
  Ledger copy = ledger;  // shares the tensors; the table of fields hands out references
  if (const std::string misfit = first_misfit(copy); !misfit.empty()) throw InvariantViolated("save(ledger): " + misfit);
  const fs::path target = fs::absolute(fs::path(folder) / "").parent_path();
  if (fs::exists(target) && !(fs::is_directory(target) && fs::is_empty(target)))
    throw InvalidInput(fmt::format("save(ledger): '{}' exists and is not an empty folder; choose another name or remove it", folder));
  int64_t bytes = 0;
  for (const Field& field : fields)
    if (const Tensor& t = field.of(copy); t.defined()) bytes += static_cast<int64_t>(t.nbytes());
  check_free_disk(target.parent_path().string(), bytes, "the ledger");
  try {
    fs::create_directories(target.parent_path());
    TemporaryFolder partial(target.string() + fmt::format(".partial-{}", ::getpid()));
    NamedTensors tensors;
    for (const Field& field : fields)
      if (const Tensor& t = field.of(copy); t.defined()) tensors.push_back({field.name, t});
    const std::string manifest = to_json(copy).dump(2) + "\n";
    write_safetensors((partial.path() / tensors_name).string(), tensors,
                      {{"format", format_name}, {"version", std::to_string(ledger_format_version)}, {manifest_hash, hex(hash_of_bytes(manifest))}});
    write_file((partial.path() / json_name).string(), manifest);
    partial.rename_to(target);
  } catch (const fs::filesystem_error& error) {
    throw InvalidInput(fmt::format("save(ledger): cannot write '{}': {}", folder, error.code().message()));
  }
}

Ledger load_ledger(const std::string& folder) {
  const ManifestFile manifest = read_manifest(folder);
  Ledger ledger;
  const auto damaged = [&](const std::exception& error) {
    return CorruptData(fmt::format("load_ledger: {} in '{}' is damaged: {}; make the ledger again", json_name, folder, error.what()));
  };
  try {
    from_json(manifest.contents, ledger);
  } catch (const json::exception& error) {
    throw damaged(error);
  } catch (const CorruptData& error) {
    throw damaged(error);
  }
  const std::string path = (fs::path(folder) / tensors_name).string();
  if (!fs::exists(path)) throw CorruptData(fmt::format("load_ledger: '{}' is incomplete: {} is missing", folder, tensors_name));
  const SafetensorsFile file = read_safetensors(path);
  if (const auto stated = file.metadata.find(manifest_hash); stated != file.metadata.end() && stated->second != manifest.hash)
    throw CorruptData(fmt::format("load_ledger: {} in '{}' was changed or damaged since it was written, or belongs to another {}; make the "
                                  "ledger again", json_name, folder, tensors_name));
  for (const Field& field : fields)
    if (file.has(field.name)) field.of(ledger) = file.at(field.name);
  if (const std::string misfit = first_misfit(ledger); !misfit.empty()) throw CorruptData(fmt::format("load_ledger: '{}': {}", path, misfit));
  if (const std::string name = first_damaged(manifest.contents, ledger); !name.empty())
    throw CorruptData(fmt::format("load_ledger: '{}' is damaged: the numbers of tensor '{}' are not those that were written; make the "
                                  "ledger again", path, name));
  if (const std::string where = first_disagreement(ledger); !where.empty())
    throw CorruptData(fmt::format("load_ledger: the ledger in '{}' does not add up: {}", folder, where));
  return ledger;
}

}  // namespace pathkernel
