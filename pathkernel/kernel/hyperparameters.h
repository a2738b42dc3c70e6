#pragma once

#include <pathkernel/core/tensors.h>

#include <string>
#include <string_view>
#include <vector>

namespace pathkernel {

/// Where a hyper-parameter may lie. An optimiser works on log θ where it is positive.
enum class Range { positive, not_negative, any };

/// One of the numbers that shape a kernel: float64, a single one [] or one per input dimension [d].
struct Hyperparameter {
  std::string name;
  Tensor value;
  Range range = Range::positive;
};

/// A kernel's hyper-parameters in a fixed order. The tensors are live: a kernel computes with exactly the tensor that was set, so with
/// a leaf that requires gradients, or anything made from one (exp of a logarithm), ∂K/∂θ arrives there through autograd.
class Hyperparameters {
 public:
  /// @param owner  how messages call whose they are, e.g. "kernel rbf"
  explicit Hyperparameters(std::string owner) : owner_(std::move(owner)) {}

  /// @throws InvalidInput as set()
  void add(std::string name, const Tensor& value, Range range);
  void add(std::string name, double value, Range range);

  const Tensor& operator[](std::string_view name) const;
  /// @return false when there is none of this name
  /// @throws InvalidInput when the value is not float64 of shape [] or [d], not finite, or out of its range
  bool set(std::string_view name, const Tensor& value);
  const std::vector<Hyperparameter>& list() const { return list_; }

 private:
  void check(const Hyperparameter& parameter) const;

  std::string owner_;
  std::vector<Hyperparameter> list_;
};

/// For kernels made of kernels: the names with "prefix." before them, and the rest of a name that begins so ("" when it does not).
void append_prefixed(std::vector<Hyperparameter>& to, const std::string& prefix, const std::vector<Hyperparameter>& from);
std::string without_prefix(const std::string& prefix, const std::string& name);

}  // namespace pathkernel
