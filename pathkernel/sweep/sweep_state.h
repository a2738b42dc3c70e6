#pragma once

#include <pathkernel/core/tensors.h>

#include <string>

namespace pathkernel {

/// Everything by which a sweep goes on after it was stopped between two stretches, to the same bits: named tensors.
class SweepState {
 public:
  SweepState() = default;
  explicit SweepState(NamedTensors tensors) : tensors_(std::move(tensors)) {}

  const NamedTensors& tensors() const { return tensors_; }
  /// An undefined tensor is left out.
  void put(const std::string& name, const Tensor& tensor);
  void put(const std::string& name, double number);
  /// Undefined where there is none.
  Tensor find(const std::string& name, at::Device device = at::kCPU) const;
  /// @throws CorruptData where there is none, or its sizes or its dtype are not those of `like`.
  Tensor at(const std::string& name, const Tensor& like) const;
  double number(const std::string& name) const;

 private:
  NamedTensors tensors_;
};

/// Where a sweep leaves its state now and then.
class SweepKeeper {
 public:
  virtual ~SweepKeeper() = default;
  /// Asked after every stretch; true: keep() follows.
  virtual bool due() = 0;
  /// The tensors are the sweep's own, and change when it goes on.
  virtual void keep(const SweepState& state) = 0;
  /// What was kept last; nullptr: nothing.
  virtual const SweepState* kept() const = 0;
};

}  // namespace pathkernel
