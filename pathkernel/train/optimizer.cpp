#include <pathkernel/core/error.h>
#include <pathkernel/train/adadelta.h>
#include <pathkernel/train/adagrad.h>
#include <pathkernel/train/adam.h>
#include <pathkernel/train/adamax.h>
#include <pathkernel/train/clipping.h>
#include <pathkernel/train/lion.h>
#include <pathkernel/train/muon.h>
#include <pathkernel/train/nadam.h>
#include <pathkernel/train/optimizer.h>
#include <pathkernel/train/radam.h>
#include <pathkernel/train/rmsprop.h>
#include <pathkernel/train/sgd.h>

namespace pathkernel {
namespace {

std::unique_ptr<Optimizer> without_clipping(const OptimizerSettings& settings, const NamedTensors& parameters) {
  const std::string& name = settings.name;
  if (name == "sgd") return std::make_unique<Sgd>(settings, parameters);
  if (name == "adam" || name == "adamw") return std::make_unique<Adam>(settings, parameters);
  if (name == "nadam") return std::make_unique<NAdam>(settings, parameters);
  if (name == "rmsprop") return std::make_unique<RMSprop>(settings, parameters);
  if (name == "adagrad") return std::make_unique<Adagrad>(settings, parameters);
  if (name == "radam") return std::make_unique<RAdam>(settings, parameters);
  if (name == "adamax") return std::make_unique<Adamax>(settings, parameters);
  if (name == "adadelta") return std::make_unique<Adadelta>(settings, parameters);
  if (name == "lion") return std::make_unique<Lion>(settings, parameters);
  if (name == "muon") return std::make_unique<Muon>(settings, parameters);
  throw InvariantViolated("make_optimizer: " + name + " has settings, but nothing makes it");
}

}  // namespace

void Optimizer::adopt(const OptimizerSettings&, const NamedTensors&, double, bool, bool) {
  throw InvariantViolated(settings_.name + ": its steps are made by what it is made of, and cannot be taken over");
}

std::unique_ptr<Optimizer> make_optimizer(const OptimizerSettings& settings, const NamedTensors& parameters) {
  validate(settings);
  auto optimizer = without_clipping(settings, parameters);
  if (settings.clip_norm == 0 && settings.clip_value == 0) return optimizer;
  return std::make_unique<Clipped>(std::move(optimizer));
}

}  // namespace pathkernel
