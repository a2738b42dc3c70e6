#pragma once

#include <cstdint>
#include <string>
#include <vector>

namespace pathkernel {

/// How Muon orthogonalises (torch.optim.Muon): X ← (a + b XXᵀ + c (XXᵀ)²) X, so many times.
struct NewtonSchulz {
  double a = 3.4445, b = -4.7750, c = 2.0315;
  int64_t steps = 5;
  std::string adjust_lr = "original";  ///< original: η √max(1, A/B) of a matrix [A, B]; match_rms_adamw: 0.2 η √max(A, B)
};

/// What the command line or a manifest says of an optimizer. Defaults are torch's, where it has the setting; those that differ from one
/// optimizer to the next are put in by default_settings().
struct OptimizerSettings {
  std::string name = "sgd";   ///< one of optimizer_names()
  double lr = 0.01;           ///< of a step before its schedule; the highest one of cosine and one-cycle
  double momentum = 0;        ///< sgd, rmsprop; muon (0.95)
  double dampening = 0;       ///< sgd; the first step is undamped, as in torch
  bool nesterov = false;      ///< sgd; muon (true)
  double beta1 = 0.9, beta2 = 0.999;  ///< adam, adamw, nadam, radam, adamax; lion (0.9, 0.99)
  double eps = 1e-8;          ///< adam, adamw, nadam, rmsprop, radam, adamax; adagrad (1e-10), adadelta (1e-6), muon (1e-7)
  bool amsgrad = false;       ///< adam, adamw: divide by the largest second moment so far
  double momentum_decay = 0.004;      ///< nadam
  double alpha = 0.99;        ///< rmsprop, adadelta (0.9; torch's rho): decay of the mean square
  bool centered = false;      ///< rmsprop: the gradient's mean is taken out of the mean square
  double lr_decay = 0;        ///< adagrad
  double initial_accumulator = 0;     ///< adagrad: the sum of squares begins here
  double weight_decay = 0;    ///< coupled (L2) but for adamw, lion and muon, where it is decoupled
  bool decoupled = false;     ///< sgd (then SGDW), nadam, radam: decay is decoupled
  NewtonSchulz newton_schulz = {}; ///< muon
  double clip_norm = 0;       ///< largest norm of all gradients together; 0: not clipped
  double clip_value = 0;      ///< largest size of a gradient's number; 0: not clipped
  std::string schedule = "constant";  ///< constant | step | cosine | one-cycle
  int64_t warmup = 0;         ///< steps of linear warm-up in front of the schedule
  int64_t lr_step = 0;        ///< step: every so many steps …
  double lr_gamma = 0.1;      ///< … the learning rate is multiplied by this
};

/// sgd, adam, adamw, nadam, rmsprop, adagrad, radam, adamax, adadelta, lion, muon
std::vector<std::string> optimizer_names();

/// torch's defaults for this optimizer (lion: those of its paper); weight decay 0 for all.
OptimizerSettings default_settings(const std::string& optimizer);

/// Whether this optimizer reads a setting, by its name in OptimizerSettings; those of clipping and schedules are for all.
bool uses_setting(const std::string& optimizer, const std::string& setting);

/// The optimizers that read a setting, "sgd, rmsprop".
std::string users_of_setting(const std::string& setting);

/// @throws InvalidInput for what torch.optim would refuse, and for a setting switched on that the optimizer or schedule ignores.
void validate(const OptimizerSettings& settings);

/// The settings that this optimizer uses, for people: "adam, lr 0.001 (cosine), betas 0.9 and 0.999, eps 1e-08".
std::string describe(const OptimizerSettings& settings);

}  // namespace pathkernel
