#pragma once

#include <pathkernel/tangent/tape.h>

#include <functional>
#include <string>
#include <utility>
#include <vector>

namespace pathkernel {

/// What a push sees of one operation: its inputs and outputs, and its inputs' tangents for Q queries at once. Arguments are named as
/// in the operation's schema. Tangents are [Q, sizes of the value]; an undefined one is zero.
class PushCall {
 public:
  PushCall(const Tape& tape, const Node& node, const Tensors& tangents, int64_t queries) : tape(tape), node(node), tangents_(tangents), queries_(queries) {}

  const std::string& name() const { return node.name; }
  int64_t queries() const { return queries_; }
  bool knows(const char* argument) const { return argument_index(node, argument) >= 0; }
  const c10::IValue& argument(const char* name) const;
  /// The tensor argument was given (not None).
  bool has(const char* argument) const;
  /// A tensor argument; a number where a number was given.
  Tensor value(const char* argument) const;
  Tensor tangent(const char* argument) const;
  Tensor tangent(const Slot& slot) const { return tangents_[size_t(slot.value)]; }
  /// The tangent of an input that broadcasts elementwise: ones after Q, so that it has the output's number of dimensions.
  Tensor broadcast_tangent(const char* argument) const;
  const Slot* slot(const char* argument) const;

  /// @return undefined where the output depends on nothing or was left out
  Tensor output(size_t k = 0) const;
  /// [Q, sizes of output k]
  std::vector<int64_t> output_sizes(size_t k = 0) const;

  /// The operation's arguments as it was called.
  std::vector<c10::IValue> arguments() const;
  /// The same with query q's tangents instead of its floating point tensors, zeros for those that do not move; q = −1: all
  /// queries' at once.
  std::vector<c10::IValue> tangent_arguments(int64_t q) const;

  const Tape& tape;
  const Node& node;

 private:
  const Tensors& tangents_;
  int64_t queries_;
};

/// A push takes tangents through one operation as autograd differentiates it, for all queries at once. The formula stands above each.
/// @return one tangent per output, from the first on, undefined for zero; fewer than there are outputs where the rest is not its
/// business, none at all where it leaves the operation to forward_mode
using PushRule = std::function<Tensors(const PushCall&)>;

/// The push for an operation, "aten::relu"; nullptr when there is none.
const PushRule* find_push(const std::string& name);

/// Pushes are kept in small files by kind; each adds its own here.
using PushTable = std::vector<std::pair<std::string, PushRule>>;
PushTable linear_pushes();
PushTable bilinear_pushes();
PushTable pointwise_pushes();
PushTable softmax_pushes();
PushTable normalisation_pushes();
PushTable selection_pushes();
PushTable loss_pushes();

/// Any operation: ATen's own forward-mode differentiation of it alone, one query at a time.
/// @throws InvalidInput naming an operation that torch cannot differentiate forwards, or that draws random numbers
Tensors forward_mode(const PushCall& call);

}  // namespace pathkernel
