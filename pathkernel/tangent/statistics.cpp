#include <pathkernel/tangent/statistics.h>

#include <ATen/core/grad_mode.h>

#include <optional>

namespace pathkernel {
namespace {

constexpr const char* batch_norm = "aten::batch_norm";
constexpr int32_t input = 0, running_mean = 3, running_var = 4, training = 5, momentum = 6;  // of its arguments

std::optional<ValueId> value_in(const Node& node, int32_t argument) {
  for (const Slot& slot : node.slots) {
    if (slot.argument == argument) return slot.value;
  }
  return std::nullopt;
}

}  // namespace

bool updates_statistics(const c10::OperatorHandle& op, const std::vector<c10::IValue>& arguments) {
  return op.operator_name().name == batch_norm && arguments[training].toBool() && arguments[running_mean].isTensor() && arguments[running_mean].toTensor().defined();
}

std::vector<StatisticsUpdate> statistics_updates(const Tape& tape) {
  const at::AutoGradMode off(false);
  std::vector<StatisticsUpdate> out;
  for (const Node& node : tape.nodes) {
    if (node.name != batch_norm || !node.arguments[training].toBool()) continue;
    const auto x = value_in(node, input), mean = value_in(node, running_mean), variance = value_in(node, running_var);
    if (!x || !mean || !variance) continue;
    const int32_t of_mean = tape.values[size_t(*mean)].parameter, of_variance = tape.values[size_t(*variance)].parameter;
    const Tensor z = tape.values[size_t(*x)].tensor.to(at::kDouble).unsqueeze(-1).flatten(2);  // [n, C, rows of an example]
    if (of_mean < 0 || of_variance < 0 || z.size(0) != tape.examples) continue;
    const double M = double(z.size(0) * z.size(2));
    const Tensor off_mean = z - z.mean(at::IntArrayRef{0, 2}, /*keepdim=*/true);
    out.push_back({size_t(of_mean), size_t(of_variance), node.arguments[momentum].toDouble(), z.sum(2) / M, off_mean.square().sum(2) / (M - 1)});
  }
  return out;
}

}  // namespace pathkernel
