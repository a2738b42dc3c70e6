#include <pathkernel/core/error.h>
#include <pathkernel/core/hash.h>
#include <pathkernel/core/json.h>
#include <pathkernel/record/format.h>
#include <pathkernel/record/manifest.h>

#include <fmt/format.h>

namespace pathkernel {

// Found by nlohmann::json through the types' namespace: every field must be there, and no other is looked at.
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(OptimizerSettings, name, lr, momentum, dampening, nesterov, beta1, beta2, eps, amsgrad, momentum_decay, alpha,
                                   centered, lr_decay, initial_accumulator, weight_decay, decoupled, clip_norm, clip_value, schedule, warmup,
                                   lr_step, lr_gamma)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(NewtonSchulz, a, b, c, steps, adjust_lr)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(AverageSettings, rule, decay, start, every)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(DataSource, location, label_column, targets, limit)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(LabelFlips, share, seed, examples, originals, labels)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Relabelling, example, label)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Environment, pathkernel, torch, cpu_capability, cpu_model, blas, system, threads)

namespace format {

nlohmann::json to_json(const Manifest& m) {
  nlohmann::json all = {{"model", m.model},       {"objective", m.objective},
          {"reduction", m.reduction}, {"regulariser", m.regulariser},
          {"accumulate", m.accumulate}, {"ema", m.ema},
          {"dtype", m.dtype},       {"optimizer", m.optimizer},
          {"data", m.data},         {"data_fingerprint", hex(m.data_fingerprint)},
          {"examples", m.examples}, {"batch", m.batch},
          {"steps", m.steps},       {"epochs", m.epochs},
          {"seed", m.seed},         {"checkpoint_every", m.checkpoint_every},
          {"text", {{"column", m.data.text_column}, {"buckets", m.data.buckets}}},
          {"standardise", m.data.standardise}, {"relabelled", m.data.relabelled},
          {"dropped", m.dropped},   {"renormalise", m.renormalise},
          {"retrained_from", m.retrained_from},
          {"environment", m.environment}};
  if (m.optimizer.name == "muon") all["optimizer"]["newton_schulz"] = m.optimizer.newton_schulz;
  if (!m.average.rule.empty()) all["average"] = m.average;
  if (!m.data.flips.empty()) all["flips"] = m.data.flips;
  return all;
}

Manifest manifest_from(const nlohmann::json& json) {
  const auto read_of = [](const nlohmann::json& from, const char* key, auto& field) {
    try {
      from.at(key).get_to(field);
    } catch (const nlohmann::json::exception& error) {
      throw CorruptData(fmt::format("the manifest's entry \"{}\" cannot be read ({})", key, error.what()));
    }
  };
  const auto read = [&](const char* key, auto& field) { read_of(json, key, field); };
  const char* what = "the manifest";
  require_integers(json, {"accumulate", "examples", "batch", "steps", "checkpoint_every"}, what);
  if (json.contains("data")) require_integers(json["data"], {"limit"}, what);
  if (json.contains("text")) require_integers(json["text"], {"buckets"}, what);
  if (json.contains("average")) require_integers(json["average"], {"start", "every"}, what);
  if (json.contains("environment")) require_integers(json["environment"], {"threads"}, what);
  if (json.contains("seed") && !json["seed"].is_number_unsigned()) throw CorruptData("the manifest's entry \"seed\" is no unsigned integer");
  Manifest m;
  std::string fingerprint;
  // What version 2 did not know yet: there it is what every run was.
  const auto read_new = [&](const char* key, auto& field) {
    if (json.contains(key)) read(key, field);
  };
  read("model", m.model);
  read("objective", m.objective);
  read("reduction", m.reduction);
  read("regulariser", m.regulariser);
  read("accumulate", m.accumulate);
  read("ema", m.ema);
  read("dtype", m.dtype);
  read("optimizer", m.optimizer);
  if (m.optimizer.name == "muon") read_of(json["optimizer"], "newton_schulz", m.optimizer.newton_schulz);
  read("data", m.data);
  read("data_fingerprint", fingerprint);
  read("examples", m.examples);
  read("batch", m.batch);
  read("steps", m.steps);
  read("epochs", m.epochs);
  read("seed", m.seed);
  read("checkpoint_every", m.checkpoint_every);
  read("environment", m.environment);
  read_new("average", m.average);
  if (json.contains("flips")) read("flips", m.data.flips);
  nlohmann::json text = {{"column", m.data.text_column}, {"buckets", m.data.buckets}};
  read_new("text", text);
  m.data.text_column = text.value("column", "");
  m.data.buckets = text.value("buckets", m.data.buckets);
  read_new("standardise", m.data.standardise);
  read_new("relabelled", m.data.relabelled);
  read_new("dropped", m.dropped);
  read_new("renormalise", m.renormalise);
  read_new("retrained_from", m.retrained_from);
  m.data_fingerprint = parse_hex(fingerprint);
  return m;
}

}  // namespace format
}  // namespace pathkernel
