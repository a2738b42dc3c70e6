#pragma once

#include <pathkernel/core/tensors.h>

#include <string>
#include <vector>

namespace pathkernel {

/// What an optimizer keeps between steps: for each kind ("exp_avg") one tensor per parameter, undefined until that parameter is
/// first updated, as in torch.optim. Names are "kind/parameter". A tensor has its parameter's shape, but for two kinds that are one
/// number, without dimensions, on the CPU: "step" counts a parameter's updates (int64), "mu_product" is NAdam's (float32).
class OptimizerState {
 public:
  OptimizerState(std::vector<std::string> kinds, const NamedTensors& parameters);

  /// The tensor of parameter i, live.
  Tensor& of(const std::string& kind, size_t i);
  const Tensor& of(const std::string& kind, size_t i) const;

  /// Makes the state of parameter i, unless it is there: `first` in each number of the shape of `w`, step 0, mu_product 1.
  void begin(size_t i, const Tensor& w, double first = 0);

  /// The tensors of a kind, live; zeros for parameters that were never updated.
  Tensors or_zeros(const std::string& kind) const;
  /// Of parameter i.
  at::ScalarType dtype(size_t i) const { return parameters_[i].tensor.scalar_type(); }
  /// How many of the kinds have a number for each weight.
  int64_t numbers_per_weight() const;

  /// Those that are defined, kind by kind; sharing storage.
  NamedTensors named() const;
  /// Replaces everything by copies of `state`, on each parameter's device; a parameter that `state` lacks becomes undefined.
  /// @throws InvalidInput for a name or a shape that does not fit, or a parameter with some of its kinds alone.
  void restore(const NamedTensors& state);
  /// Replaces parameter i's tensors by these, by kind, sharing storage; kinds that are not kept here are passed over.
  void adopt(size_t i, const NamedTensors& by_kind);

 private:
  size_t kind_index(const std::string& kind) const;

  std::vector<std::string> kinds_;
  NamedTensors parameters_;        ///< for names, shapes and devices
  std::vector<Tensors> tensors_;   ///< [kind][parameter]
};

}  // namespace pathkernel
