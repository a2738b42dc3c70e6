#include "synthetic_ledger.h"

#include <pathkernel/core/error.h>
#include <pathkernel/data/safetensors.h>
#include <pathkernel/explain/ledger_file.h>

#include <ATen/TensorOperators.h>
#include <ATen/ops/equal.h>
#include <damage.h>
#include <gtest/gtest.h>
#include <nlohmann/json.hpp>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <functional>
#include <limits>

namespace pathkernel {
namespace {

using test::ScratchFolder;
using test::synthetic_ledger;
using test::has;
using json = nlohmann::json;

std::string message_of(const std::string& folder) {
  try {
    load_ledger(folder);
  } catch (const CorruptData& error) {
    return std::string("corrupt: ") + error.what();
  } catch (const InvalidInput& error) {
    return std::string("invalid: ") + error.what();
  }
  return "loaded";
}

json manifest_of(const std::string& folder) {
  std::ifstream file(folder + "/ledger.json");
  return json::parse(file);
}

void write_manifest(const std::string& folder, const json& manifest) { std::ofstream(folder + "/ledger.json") << manifest; }

/// Changes one tensor and forgets its hash, so that the checks behind the hash are reached.
void replace_tensor(const std::string& folder, const std::string& name, const std::function<Tensor(const Tensor&)>& change) {
  NamedTensors tensors = read_safetensors(folder + "/ledger.safetensors").tensors;
  for (NamedTensor& t : tensors)
    if (t.name == name) t.tensor = change(t.tensor);
  std::erase_if(tensors, [](const NamedTensor& t) { return !t.tensor.defined(); });
  write_safetensors(folder + "/ledger.safetensors", tensors);
  json manifest = manifest_of(folder);
  manifest["tensors"]["hashes"] = json::object();
  write_manifest(folder, manifest);
}

class LedgerFile : public ::testing::TestWithParam<bool> {};

TEST_P(LedgerFile, KeepsEverything) {
  ScratchFolder scratch;
  const Ledger a = synthetic_ledger(GetParam());
  save(a, scratch / "deep/ledger");
  const Ledger b = load_ledger(scratch / "deep/ledger");
  for (const auto member : {&Ledger::contributions, &Ledger::initial, &Ledger::final, &Ledger::decay, &Ledger::buffers, &Ledger::jumps,
                            &Ledger::rounding, &Ledger::residual, &Ledger::draws, &Ledger::draw_step, &Ledger::draw_example,
                            &Ledger::by_step, &Ledger::by_layer, &Ledger::by_class, &Ledger::by_layer_step, &Ledger::by_class_step,
                            &Ledger::outputs, &Ledger::path_kernel, &Ledger::query_inputs, &Ledger::example_inputs,
                            &Ledger::example_targets}) {
    ASSERT_EQ((a.*member).defined(), (b.*member).defined());
    if ((a.*member).defined()) { EXPECT_TRUE(at::equal(a.*member, b.*member)); }
  }
  EXPECT_TRUE(at::equal(a.certificate.split_uncertainty, b.certificate.split_uncertainty));
  EXPECT_TRUE(at::equal(a.certificate.residual_to_change, b.certificate.residual_to_change));
  EXPECT_EQ(a.certificate.brief("x"), b.certificate.brief("x"));
  EXPECT_EQ(a.layers, b.layers);
  EXPECT_EQ(a.classes, b.classes);
  ASSERT_EQ(a.queries.size(), b.queries.size());
  EXPECT_EQ(a.queries[2].measurement, b.queries[2].measurement);
  EXPECT_EQ(a.queries[1].target, b.queries[1].target);
  EXPECT_EQ(a.settings.recording, b.settings.recording);
  EXPECT_EQ(a.settings.last_step, b.settings.last_step);
}
INSTANTIATE_TEST_SUITE_P(Kinds, LedgerFile, ::testing::Bool());

TEST(LedgerFile, KeepsNumbersThatJsonCannotHold) {
  ScratchFolder scratch;
  Ledger l = synthetic_ledger();
  l.certificate.residual_to_change[1] = std::numeric_limits<double>::infinity();
  l.certificate.split_uncertainty = Tensor();
  l.certificate.correction_share = std::nan("");
  save(l, scratch / "ledger");
  const Ledger back = load_ledger(scratch / "ledger");
  EXPECT_TRUE(std::isinf(back.certificate.residual_to_change[1].item<double>()));
  EXPECT_TRUE(std::isnan(back.certificate.correction_share));
  EXPECT_FALSE(back.certificate.split_uncertainty.defined());
}

TEST(LedgerFile, LeavesWhatIsThereAlone) {
  ScratchFolder scratch;
  std::filesystem::create_directory(scratch / "empty");
  save(synthetic_ledger(), scratch / "empty/");
  EXPECT_THROW(save(synthetic_ledger(), scratch / "empty"), InvalidInput);
  std::ofstream(scratch / "file") << "x";
  EXPECT_THROW(save(synthetic_ledger(), scratch / "file"), InvalidInput);
  Ledger incomplete = synthetic_ledger();
  incomplete.jumps = Tensor();
  EXPECT_THROW(save(incomplete, scratch / "other"), InvariantViolated);
  int entries = 0;
  for ([[maybe_unused]] const auto& entry : std::filesystem::directory_iterator(scratch / "")) ++entries;
  EXPECT_EQ(entries, 2) << "a half-written folder was left";
}

TEST(LedgerFile, SaysWhatIsNoLedger) {
  ScratchFolder scratch;
  EXPECT_TRUE(has(message_of(scratch / "nothing"), "invalid: load_ledger: '"));
  EXPECT_TRUE(has(message_of(scratch / ""), "is no ledger"));
  write_manifest(scratch / "", {{"format", "something else"}});
  EXPECT_TRUE(has(message_of(scratch / ""), "is no ledger"));
  std::ofstream(scratch / "ledger.json") << "{\"format\": ";
  EXPECT_TRUE(has(message_of(scratch / ""), "corrupt: load_ledger"));
}

class DamagedLedger : public ::testing::Test {
 protected:
  void SetUp() override { save(synthetic_ledger(), folder); }
  ScratchFolder scratch;
  std::string folder = scratch / "ledger";
};

TEST_F(DamagedLedger, OtherVersion) {
  json manifest = manifest_of(folder);
  manifest["version"] = 3;
  write_manifest(folder, manifest);
  EXPECT_TRUE(has(message_of(folder), "format version 3, this program reads version 2"));
}

TEST_F(DamagedLedger, MissingField) {
  json manifest = manifest_of(folder);
  manifest["settings"].erase("rule");
  write_manifest(folder, manifest);
  EXPECT_TRUE(has(message_of(folder), "rule"));
}

TEST_F(DamagedLedger, FieldOfAnotherType) {
  json manifest = manifest_of(folder);
  manifest["queries"] = 7;
  write_manifest(folder, manifest);
  EXPECT_TRUE(has(message_of(folder), "corrupt: "));
}

TEST_F(DamagedLedger, MissingTensorFile) {
  std::filesystem::remove(folder + "/ledger.safetensors");
  EXPECT_TRUE(has(message_of(folder), "ledger.safetensors is missing"));
}

TEST_F(DamagedLedger, FlippedBit) {
  std::fstream file(folder + "/ledger.safetensors", std::ios::in | std::ios::out | std::ios::binary);
  file.seekg(-1, std::ios::end);
  const char last = static_cast<char>(file.get());
  file.seekp(-1, std::ios::end);
  file.put(static_cast<char>(last ^ 1));
  file.close();
  EXPECT_TRUE(has(message_of(folder), "are not those that were written"));
}

TEST_F(DamagedLedger, TruncatedTensors) {
  std::filesystem::resize_file(folder + "/ledger.safetensors", std::filesystem::file_size(folder + "/ledger.safetensors") - 4);
  EXPECT_TRUE(has(message_of(folder), "corrupt: "));
}

TEST_F(DamagedLedger, MissingTensor) {
  replace_tensor(folder, "jumps", [](const Tensor&) { return Tensor(); });
  EXPECT_TRUE(has(message_of(folder), "tensor 'jumps' is missing"));
}

TEST_F(DamagedLedger, WrongShape) {
  replace_tensor(folder, "by_layer", [](const Tensor& t) { return t.narrow(0, 0, 1).contiguous(); });
  EXPECT_TRUE(has(message_of(folder), "tensor 'by_layer' is"));
  EXPECT_TRUE(has(message_of(folder), "L=2, Q=3"));
}

TEST_F(DamagedLedger, WrongDtype) {
  replace_tensor(folder, "final", [](const Tensor& t) { return t.to(at::kFloat); });
  EXPECT_TRUE(has(message_of(folder), "tensor 'final' is"));
}

TEST_F(DamagedLedger, ManifestOfAnotherLedger) {
  json manifest = manifest_of(folder);
  manifest["queries"][0]["predicted"] = 1 - manifest["queries"][0]["predicted"].get<int64_t>();
  write_manifest(folder, manifest);
  EXPECT_TRUE(has(message_of(folder), "corrupt: load_ledger: ledger.json in '" + folder + "' was changed"));
}

TEST_F(DamagedLedger, AnOptionalTensorThatIsGone) {
  const SafetensorsFile file = read_safetensors(folder + "/ledger.safetensors");
  NamedTensors tensors = file.tensors;
  std::erase_if(tensors, [](const NamedTensor& t) { return t.name == "example_targets"; });
  write_safetensors(folder + "/ledger.safetensors", tensors, file.metadata);
  EXPECT_TRUE(has(message_of(folder), "tensor 'example_targets' are not those that were written"));
}

TEST_F(DamagedLedger, AnywhereIsFound) {
  const json original = manifest_of(folder);
  int found = 0, harmless = 0;
  testing::damage(folder, 400, 40, [&](const std::string& what) {
    const std::string outcome = message_of(folder);
    if (outcome == "loaded") {  // a bit that nobody reads: the same ledger, down to the hash of every number
      save(load_ledger(folder), scratch / "again");
      EXPECT_EQ(manifest_of(scratch / "again"), original) << what;
      std::filesystem::remove_all(scratch / "again");
      ++harmless;
      return;
    }
    EXPECT_TRUE(has(outcome, folder)) << what << ": " << outcome;
    ++found;
  });
  EXPECT_EQ(found + harmless, 2 * (400 + 40 + 1));
  EXPECT_LT(harmless, 40);
}

TEST_F(DamagedLedger, DoesNotAddUp) {
  replace_tensor(folder, "contributions", [](const Tensor& t) { return t + 0.01; });
  EXPECT_TRUE(has(message_of(folder), "does not add up: contributions"));
}

}  // namespace
}  // namespace pathkernel
