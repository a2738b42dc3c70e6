// Every file of the fuzzers' corpus (make fuzz) through its reader, without a fuzzer. By its name a file is read (sound_…), refused
// (nasty_…) or either (found_…, by a fuzzer). The ledgers and manifests are made by the test at the end.
#include "readers.h"

#include <pathkernel/core/files.h>
#include <pathkernel/data/safetensors.h>
#include <pathkernel/explain/ledger_file.h>
#include <pathkernel/record/format.h>

#include <ATen/ops/full_like.h>
#include <gtest/gtest.h>
#include <memory_limit.h>
#include <nlohmann/json.hpp>
#include <scratch.h>

#include <algorithm>
#include <filesystem>
#include <functional>
#include <limits>
#include <string_view>

#include "explain/synthetic_ledger.h"

namespace pathkernel {
namespace {

namespace fs = std::filesystem;
using json = nlohmann::json;

const fs::path corpus = PATHKERNEL_CORPUS;

class Corpus : public ::testing::TestWithParam<fuzz::Reader> {};

TEST_P(Corpus, IsReadOrRefused) {
  std::vector<fs::path> files;
  for (const auto& entry : fs::directory_iterator(corpus / GetParam().name)) files.push_back(entry.path());
  std::sort(files.begin(), files.end());
  const testing::MemoryLimit limit(256u << 20);
  int sound = 0, nasty = 0;
  for (const fs::path& file : files) {
    const std::string name = file.filename().string(), bytes = read_file(file.string());
    bool read = false;
    ASSERT_NO_THROW(read = GetParam().read(bytes)) << file;
    if (name.starts_with("sound_")) {
      ++sound;
      EXPECT_TRUE(read) << file << " is refused. When the format has changed: pathkernel_tests --gtest_also_run_disabled_tests --gtest_filter='*RenewCorpus*'";
    } else if (name.starts_with("nasty_")) {
      ++nasty;
      EXPECT_FALSE(read) << file;
    }
  }
  EXPECT_GT(sound, 1);
  EXPECT_GT(nasty, 5);
}

INSTANTIATE_TEST_SUITE_P(Readers, Corpus, ::testing::ValuesIn(fuzz::readers()), [](const auto& info) { return std::string(info.param.name); });

/// A ledger as the fuzzer's input (readers.h). Hashes are left out, so that damage behind them is reached.
struct Packed {
  json manifest;
  NamedTensors tensors;

  explicit Packed(const Ledger& ledger) {
    const testing::Scratch scratch;
    save(ledger, scratch.path("ledger"));
    manifest = json::parse(read_file(scratch.path("ledger/ledger.json")));
    manifest["tensors"].erase("hashes");
    tensors = read_safetensors(scratch.path("ledger/ledger.safetensors")).tensors;
  }

  Tensor& operator[](const char* name) {
    return std::find_if(tensors.begin(), tensors.end(), [&](const NamedTensor& t) { return t.name == name; })->tensor;
  }

  void write(const std::string& name, bool with_tensors = true) const {
    const testing::Scratch scratch;
    const std::string text = manifest.dump();
    const auto length = static_cast<uint32_t>(text.size());
    std::string bytes(reinterpret_cast<const char*>(&length), sizeof length);
    bytes += text;
    if (with_tensors) {
      write_safetensors(scratch.path("x"), tensors);
      bytes += read_file(scratch.path("x"));
    }
    write_file((corpus / "ledger" / name).string(), bytes);
  }
};

void renew_ledgers() {
  using Limits = std::numeric_limits<int64_t>;
  const Packed sound(test::synthetic_ledger());
  sound.write("sound_classification");
  Packed(test::synthetic_ledger(true)).write("sound_regression");
  const Packed kept(test::kept_ledger());
  kept.write("sound_kept");
  const auto manifest = [&](const char* name, const std::function<void(json&)>& change, bool with_tensors = false) {
    Packed changed = sound;
    change(changed.manifest);
    changed.write(name, with_tensors);
  };
  manifest("sound_unknown_field", [](json& j) { j["more"] = {1, {2}}; }, true);
  manifest("nasty_no_tensors", [](json&) {});
  manifest("nasty_version", [](json& j) { j["version"] = 1000; });
  manifest("nasty_version_nested", [](json& j) { j["version"] = json::parse(std::string(200, '[') + std::string(200, ']')); });
  manifest("nasty_window_overflow", [](json& j) { j["settings"]["first_step"] = Limits::min(), j["settings"]["last_step"] = Limits::max(); });
  manifest("nasty_last_step", [](json& j) { j["settings"]["last_step"] = Limits::max(); });
  manifest("nasty_backwards", [](json& j) { j["settings"]["first_step"] = 5; });
  manifest("nasty_float_for_integer", [](json& j) { j["settings"]["panels"] = 1e300; });
  manifest("nasty_unsigned", [](json& j) { j["settings"]["last_step"] = std::numeric_limits<uint64_t>::max(); });
  manifest("nasty_types", [](json& j) { j["queries"] = {{"a", 1}}; });
  manifest("nasty_no_queries", [](json& j) { j["queries"] = json::array(); }, true);
  manifest("nasty_hash", [](json& j) { j["tensors"]["hashes"]["initial"] = "0000000000000000"; }, true);
  const auto tensor = [&](const char* name, const char* which, const std::function<Tensor(Tensor)>& change) {
    Packed changed = std::string_view(name).starts_with("nasty_kept") ? kept : sound;
    changed[which] = change(changed[which].clone());
    changed.write(name);
  };
  tensor("nasty_step_outside", "draw_step", [](const Tensor& t) { return at::full_like(t, Limits::max()); });
  tensor("nasty_example_outside", "draw_example", [](const Tensor& t) { return t - 1; });
  tensor("nasty_nan", "final", [](const Tensor& t) { return t * std::numeric_limits<double>::quiet_NaN(); });
  tensor("nasty_scalar", "initial", [](const Tensor& t) { return t[0]; });
  tensor("nasty_kept_count_overflow", "dropped_count", [](const Tensor& t) { return at::full_like(t, Limits::max()); });
  tensor("nasty_kept_count_below_zero", "dropped_count", [](const Tensor& t) { return at::full_like(t, Limits::min()); });
  tensor("nasty_kept_nothing", "kept", [](const Tensor& t) { return t.narrow(0, 0, 0); });
  tensor("nasty_kept_example_outside", "kept_examples", [](const Tensor& t) { return at::full_like(t, Limits::max()); });
  tensor("nasty_does_not_add_up", "initial", [](const Tensor& t) { return t + 1; });
}

void renew_manifests() {
  const json sound = format::to_json(Manifest{});
  const auto manifest = [&](const char* name, const std::function<void(json&)>& change) {
    json changed = sound;
    change(changed);
    write_file((corpus / "manifest" / name).string(), changed.dump());
  };
  manifest("sound_default", [](json&) {});
  manifest("sound_own_module", [](json& j) { j["model"] = "", j["data"]["location"] = "a.csv", j["data"]["label_column"] = "größe"; });
  manifest("sound_large_seed", [](json& j) { j["seed"] = std::numeric_limits<uint64_t>::max(); });
  manifest("nasty_float", [](json& j) { j["steps"] = 1e300; });
  manifest("nasty_unsigned", [](json& j) { j["examples"] = std::numeric_limits<uint64_t>::max(); });
  manifest("nasty_seed", [](json& j) { j["seed"] = -1.5; });
  manifest("nasty_limit", [](json& j) { j["data"]["limit"] = -1e40; });
  manifest("nasty_threads", [](json& j) { j["environment"]["threads"] = 0.5; });
  manifest("nasty_data", [](json& j) { j["data"] = 3; });
  manifest("nasty_environment", [](json& j) { j["environment"] = json::array(); });
  manifest("nasty_optimizer", [](json& j) { j["optimizer"] = json::object(); });
  manifest("nasty_fingerprint", [](json& j) { j["data_fingerprint"] = "xyz"; });
  manifest("nasty_nested", [](json& j) { j["model"] = json::parse(std::string(200, '[') + std::string(200, ']')); });
}

TEST(RenewCorpus, DISABLED_LedgersAndManifests) {
  renew_ledgers();
  renew_manifests();
}

}  // namespace
}  // namespace pathkernel
