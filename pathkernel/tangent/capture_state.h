#pragma once

#include <ATen/core/stack.h>
#include <c10/core/impl/LocalDispatchKeySet.h>
#include <pathkernel/tangent/capture.h>

#include <functional>
#include <optional>
#include <string>
#include <unordered_map>

namespace pathkernel {

/// Sends attention to its math form while it lives, so that its parts are seen (they have rules; the fused kernels have none).
class MathAttention {
 public:
  MathAttention();
  ~MathAttention();
  MathAttention(const MathAttention&) = delete;
  MathAttention& operator=(const MathAttention&) = delete;

 private:
  bool flash_, efficient_;
};

/// The work of a Capture between its construction and its end; called from the dispatcher's fallback.
struct Capture::State {
  State(Tape& tape, Side side) : tape(tape), side(side) {}

  Tape& tape;
  Side side;
  std::unordered_map<const c10::StorageImpl*, std::string> parameter_storage;
  std::optional<MathAttention> math_attention;  ///< not on the training side, which must run what training ran
  std::optional<c10::impl::IncludeDispatchKeyGuard> include;
  /// Training side: called for each operation where a parameter enters, to hang hooks on its outputs.
  std::function<void(const Node&, const Tensors& outputs)> on_entry = [](const Node&, const Tensors&) {};

  bool in_half = false;  ///< training and forward side: something that needs a gradient was computed in half precision

  /// Runs one operation below the tape and writes it down.
  void leaf(const c10::OperatorHandle& op, torch::jit::Stack* stack);
  ValueId add_value(Value value, const Tensor& tensor);

 private:
  /// What an operation reads that the tape knows, and what that is together.
  struct Reads {
    std::vector<Slot> slots;
    Tensors tensors;       ///< of the slots
    bool active = false, owned = false, decided = false;
    bool enters = false;   ///< something that needs a gradient and belongs to no example: a parameter, or made of parameters (forwards: anything)
  };
  Reads read(const c10::OperatorHandle& op, const std::vector<c10::IValue>& arguments) const;
  void refuse_unfollowed(const c10::OperatorHandle& op, const Reads& reads) const;
  void run(const c10::OperatorHandle& op, torch::jit::Stack* stack, size_t base) const;
  bool is_active(ValueId id, const Tensor& tensor) const;
  void refuse_hidden_parameter(const Tensor& tensor, const c10::OperatorHandle& op) const;
  void refuse_transformed(const Tensor& tensor, const c10::OperatorHandle& op) const;
  void refuse_unseen_graph(const Value* value, const Tensor& tensor, const c10::OperatorHandle& op) const;
  void keep_input(ValueId id);
  void keep_overwritten(const Tensor& target);
  struct Seen {
    bool active, enters, owned, decided;
    const Tensor& target;  ///< what an in-place operation wrote to; undefined for others
    bool renames_only;
  };
  void record(Node node, const Tensors& slot_tensors, const Tensors& outputs, const Seen& seen);
  std::string refusal_among(const std::vector<Slot>& slots) const;
  bool same_as_input(const Node& node, ValueId id) const;
  void rename_views(const c10::OperatorHandle& op, const Tensor& target, ValueId written);
};

}  // namespace pathkernel
