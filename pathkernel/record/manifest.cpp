#include <pathkernel/core/error.h>
#include <pathkernel/core/hash.h>
#include <pathkernel/record/format.h>
#include <pathkernel/record/manifest.h>

#include <fmt/format.h>
#include <nlohmann/json.hpp>

namespace pathkernel {

// Found by nlohmann::json through the types' namespace: every field must be there, and no other is looked at.
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(OptimizerSettings, name, lr, momentum, dampening, nesterov, beta1, beta2, eps, amsgrad, momentum_decay, alpha,
                                   centered, lr_decay, initial_accumulator, weight_decay, decoupled, clip_norm, clip_value, schedule, warmup,
                                   lr_step, lr_gamma)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(DataSource, location, label_column, targets, limit)
NLOHMANN_DEFINE_TYPE_NON_INTRUSIVE(Environment, pathkernel, torch, cpu_capability, cpu_model, blas, system, threads)

namespace format {

nlohmann::json to_json(const Manifest& m) {
  return {{"model", m.model},       {"objective", m.objective},
          {"reduction", m.reduction}, {"regulariser", m.regulariser},
          {"accumulate", m.accumulate}, {"ema", m.ema},
          {"dtype", m.dtype},       {"optimizer", m.optimizer},
          {"data", m.data},         {"data_fingerprint", hex(m.data_fingerprint)},
          {"examples", m.examples}, {"batch", m.batch},
          {"steps", m.steps},       {"epochs", m.epochs},
          {"seed", m.seed},         {"checkpoint_every", m.checkpoint_every},
          {"environment", m.environment}};
}

Manifest manifest_from(const nlohmann::json& json) {
  const auto read = [&](const char* key, auto& field) {
    try {
      json.at(key).get_to(field);
    } catch (const nlohmann::json::exception& error) {
      throw CorruptData(fmt::format("the manifest's entry \"{}\" cannot be read ({})", key, error.what()));
    }
  };
  Manifest m;
  std::string fingerprint;
  read("model", m.model);
  read("objective", m.objective);
  read("reduction", m.reduction);
  read("regulariser", m.regulariser);
  read("accumulate", m.accumulate);
  read("ema", m.ema);
  read("dtype", m.dtype);
  read("optimizer", m.optimizer);
  read("data", m.data);
  read("data_fingerprint", fingerprint);
  read("examples", m.examples);
  read("batch", m.batch);
  read("steps", m.steps);
  read("epochs", m.epochs);
  read("seed", m.seed);
  read("checkpoint_every", m.checkpoint_every);
  read("environment", m.environment);
  m.data_fingerprint = parse_hex(fingerprint);
  return m;
}

}  // namespace format
}  // namespace pathkernel
