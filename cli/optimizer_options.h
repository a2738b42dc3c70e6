#pragma once

#include <pathkernel/train/optimizer_settings.h>

#include <CLI/CLI.hpp>

#include <functional>
#include <memory>
#include <string>
#include <vector>

namespace pathkernel::cli {

/// The options of `train` that choose an optimizer, its schedule and clipping. They are put over the optimizer's own defaults when all
/// have been read, so their order does not matter.
class OptimizerOptions {
 public:
  void add_to(CLI::App& command);
  /// @throws InvalidInput for an option that the chosen optimizer or schedule would ignore, naming both
  OptimizerSettings settings() const;

 private:
  struct Given {
    std::string option;   ///< "--momentum-decay"
    std::string setting;  ///< "momentum_decay", of OptimizerSettings
    std::function<void(OptimizerSettings&)> put;
  };
  template <class T>
  CLI::Option* add(CLI::App& command, const std::string& option, T OptimizerSettings::*field, const std::string& help);
  void add_optimizers_own(CLI::App& command);
  void add_schedule(CLI::App& command);

  std::string optimizer_ = "sgd";
  std::vector<Given> own_;      ///< settings that belong to some optimizers
  std::vector<Given> general_;  ///< settings of all: lr, clipping, schedule
};

}  // namespace pathkernel::cli
