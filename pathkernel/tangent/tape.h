#pragma once

#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/ivalue.h>
#include <pathkernel/core/tensors.h>

#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

namespace pathkernel {

using ValueId = int32_t;
inline constexpr ValueId no_value = -1;

/// A tensor that one forward pass met and that depends on parameters or examples.
struct Value {
  Tensor tensor;       ///< its numbers as they were when the value was made (detached); undefined when not kept
  Tensor owner;        ///< int64, expanded to the tensor's sizes: the example each number belongs to; undefined: shared by all
  std::vector<int64_t> sizes;  ///< of the tensor, known also where the numbers are not kept
  std::string refusal;          ///< not empty: numbers of several examples were mixed in it, or whose they are is unknown; why
  bool active = false; ///< changes along the path (query side) or takes part in autograd (training side)
  bool decision = false;  ///< query side: piecewise constant in the parameters (an argmax, a comparison, or made of such)
  int32_t parameter = -1;  ///< index of the parameter (or, after the parameters, of the buffer) that it is; else −1
  bool shared() const { return !owner.defined(); }
};

/// Which value stands in which argument of an operation (list_position ≥ 0: inside a list of tensors).
struct Slot {
  int32_t argument;
  int32_t list_position;
  ValueId value;
};

/// One operation of the forward pass, in its functional form (relu_ is kept as relu).
struct Node {
  c10::OperatorHandle op;
  std::vector<c10::IValue> arguments;  ///< as called; arguments that are values hold none here (see `slots`)
  std::vector<Slot> slots;
  std::vector<ValueId> outputs;        ///< no_value for outputs that are no tensors or depend on nothing
  std::string name;                    ///< "aten::relu"
  bool is_alias = false;               ///< no operation: after an in-place write to slot 0's storage, slot 1's name sees it
};

/// The index of an argument by its name in the operation's schema; −1 when it has none of that name.
int argument_index(const Node& node, const char* name);
/// The operation's arguments as it was called, with `tensor_of` in each slot.
std::vector<c10::IValue> filled_arguments(const Node& node, const std::function<Tensor(const Slot&)>& tensor_of);

/// The operations one forward pass performed, with their inputs and outputs (design.md section 3). Filled by a Capture.
class Tape {
 public:
  std::vector<Value> values;
  std::vector<Node> nodes;
  int64_t examples = 0;                  ///< n
  bool entries_only = false;             ///< training side: nodes are the places where parameters enter; their cotangents are caught
  struct DecisionUse { size_t node, slot; };
  std::vector<DecisionUse> decisions;    ///< where decisions stand in slots of nodes
  std::vector<ValueId> parameter_values; ///< one per parameter, then one per buffer

  /// The value that `tensor` is at the end of the pass; no_value when it depends on no example and no parameter.
  ValueId find(const Tensor& tensor) const;
  /// Bytes of the numbers kept.
  int64_t bytes() const;

 private:
  friend class Capture;
  std::unordered_map<const c10::TensorImpl*, ValueId> names_;
  std::vector<Tensor> alive_;  ///< keeps the named tensors from being freed, so that no address is used twice
};

/// True when the two tapes hold the same operations on the same values, called with the same numbers.
/// @param difference  the first one, for messages
bool same_structure(const Tape& a, const Tape& b, std::string* difference = nullptr);

}  // namespace pathkernel
