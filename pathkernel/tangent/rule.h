#pragma once

#include <pathkernel/tangent/factors.h>
#include <pathkernel/tangent/tape.h>

#include <functional>
#include <map>
#include <string>
#include <vector>

namespace pathkernel {

/// A value at both ends of a segment: index 0 at w_s, index 1 at w_{s+1} (theory 3b). Equal ends give the derivative.
struct Ends {
  Tensor at0, at1;
  bool equal() const { return at0.is_same(at1); }
  Tensor mean() const;
  Tensor delta() const;
};

/// How much operations without a rule were corrected (theory 3b, "Jumps"): Σ|correction| next to Σ|VJP part|.
struct CorrectionShare {
  double correction = 0, product = 0;
};
using CorrectionShares = std::map<std::string, CorrectionShare>;

class Reverse;

/// What a rule sees of one operation: both ends of its inputs and outputs, the cotangents of its outputs, and where to give the
/// cotangents of its inputs. Arguments are named as in the operation's schema.
class Call {
 public:
  /// An operation on rows of examples; its inputs' cotangents go to `reverse`.
  Call(Reverse& reverse, const Node& node0, const Node& node1, Tensors cotangents);
  /// An operation on shared values only (weight norm and the like): `give` collects into `collected`, by slot.
  Call(Reverse& reverse, const Node& node0, const Node& node1, Tensors cotangents, std::vector<Tensor>* collected);

  const std::string& name() const { return node0.name; }
  /// The tensor argument was given (not None).
  bool has(const char* argument) const;
  /// A tensor argument at both ends; constants are equal at both.
  Ends ends(const char* argument, int list_position = -1) const;
  /// The same as numbers of the cotangent's kind: a factor may be a count or a mask.
  Ends numbers(const char* argument) const;
  Ends output(size_t k = 0) const;
  /// Cotangent of output k; undefined when nothing depends on it.
  const Tensor& cotangent(size_t k = 0) const { return cotangents[k]; }
  const c10::IValue& argument(const char* name) const;

  /// The input's cotangent is wanted, as a tensor of its shape.
  bool wants(const char* argument) const;
  bool wants(const Slot& slot) const;
  /// The input is shared by all examples (a parameter, or made of parameters only): its per-example gradients are wanted.
  bool wants_shared(const char* argument) const;
  bool wants_shared(const Slot& slot) const;

  /// Summed down to the input's shape first, where broadcasting made it larger.
  void give(const char* argument, const Tensor& cotangent);
  void give(const Slot& slot, const Tensor& cotangent);
  void give_shared(const char* argument, Factor factor);
  void give_shared(const Slot& slot, Factor factor);
  /// An input that entered elementwise, shared or not: `full` broadcasts to the output's shape; undoes the input's broadcasting.
  void give_elementwise(const char* argument, const Tensor& full);
  void give_elementwise(const Slot& slot, const Tensor& full);

  /// x [..., k], laid out as output 0 up to its last dimension -> [n, T, k], the rows of each example together. Where examples
  /// have different numbers of rows the rest is zero.
  Tensor rows_by_example(const Tensor& x) const;

  int64_t examples() const;
  const Slot* slot(const char* argument, int list_position = -1) const;
  Ends ends(const Slot& slot) const;
  Tensor owner(const Slot& slot) const;   ///< undefined: shared
  Tensor owner(size_t output) const;
  CorrectionShares* shares() const;
  /// The operation's arguments with their tensors at end 0 or 1.
  std::vector<c10::IValue> arguments(int end) const;

  const Node& node0;
  const Node& node1;
  Tensors cotangents;

 private:
  Reverse& reverse_;
  std::vector<Tensor>* collected_ = nullptr;
};

/// A rule sends the cotangents of an operation's outputs to its inputs by the transpose of a linear map M with
/// out₁ − out₀ = M (in₁ − in₀) exactly. The formula stands above each (theory 3b's table).
using Rule = std::function<void(Call&)>;

/// The rule for an operation, "aten::relu"; nullptr when there is none.
const Rule* find_rule(const std::string& name);
/// All operations that have one.
std::vector<std::string> rule_names();

/// Rules are kept in small files by kind; each adds its own here.
using RuleTable = std::vector<std::pair<std::string, Rule>>;
RuleTable linear_rules();
RuleTable bilinear_rules();
RuleTable pointwise_rules();
RuleTable softmax_rules();
RuleTable normalisation_rules();
RuleTable selection_rules();
RuleTable loss_rules();

/// Any operation without a rule: midpoint vector-Jacobian product plus a rank-one correction per example.
void fallback_rule(Call& call);

}  // namespace pathkernel
