#include <pathkernel/tangent/owners.h>

#include <ATen/ExpandUtils.h>
#include <ATen/core/stack.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/equal.h>
#include <ATen/ops/full.h>
#include <pathkernel/tangent/coupled_batch.h>

#include <unordered_set>

namespace pathkernel {
namespace {

using Names = std::unordered_set<std::string>;

/// Operations that only move numbers: the owners move the same way.
const Names moves = {"aten::permute", "aten::transpose", "aten::t", "aten::expand",
                     "aten::slice", "aten::select", "aten::squeeze", "aten::unsqueeze", "aten::unfold", "aten::index_select", "aten::index",
                     "aten::gather", "aten::split", "aten::split_with_sizes", "aten::unbind", "aten::flip", "aten::roll", "aten::repeat",
                     "aten::diagonal", "aten::cat", "aten::stack"};
/// The example is the first dimension of the input and of the output.
const Names leading = {"aten::conv1d", "aten::conv2d", "aten::conv3d", "aten::convolution", "aten::max_pool2d_with_indices", "aten::avg_pool2d",
                       "aten::_adaptive_avg_pool2d", "aten::constant_pad_nd"};
const Names reductions = {"aten::sum", "aten::mean", "aten::amax", "aten::amin", "aten::max", "aten::min", "aten::logsumexp", "aten::prod",
                          "aten::var", "aten::std", "aten::argmax", "aten::argmin", "aten::any", "aten::all", "aten::linalg_vector_norm"};

[[noreturn]] void refuse_coupled(const Node& node) {
  throw CoupledBatch(node.name + " mixes the examples of a batch (batch statistics, contrastive losses), so none has a result of its own here");
}

/// Batch norm by the batch's own statistics.
bool takes_batch_statistics(const Node& node) {
  static const Names norms = {"aten::batch_norm", "aten::native_batch_norm", "aten::_native_batch_norm_legit", "aten::cudnn_batch_norm", "aten::miopen_batch_norm"};
  if (!norms.count(node.name)) return false;
  const int at = std::max(argument_index(node, "training"), argument_index(node, "train"));
  return at < 0 || node.arguments[size_t(at)].toBool();
}

/// The owner's dimension d holds one owner only?
bool constant_along(const Tensor& owner, int64_t d) {
  if (owner.size(d) <= 1 || owner.stride(d) == 0) return true;
  return at::equal(owner, owner.narrow(d, 0, 1).expand(owner.sizes()));
}

[[noreturn]] void refuse_unknown(const Node& node, const Tensor& output) {
  throw CoupledBatch("cannot tell which example the rows of " + node.name + "'s output " + describe(output) + " belong to");
}

/// as_strided goes by the storage, where an owner's numbers lie otherwise than its tensor's: they are laid out as those.
Tensor restrided(const Node& node, const Tensor& input, const Tensor& owner, const Tensor& output) {
  if (input.sizes() != owner.sizes()) refuse_unknown(node, output);
  if (input.is_same(output)) {  // as_strided_: how it lay before is gone; each example's numbers in one piece stay its own
    for (int64_t d = 1; d < input.dim(); ++d)
      if (!constant_along(owner, d) || (input.size(d) > 1 && input.stride(d) > input.stride(0))) refuse_unknown(node, output);
    return owner;
  }
  const Tensor storage = at::full({static_cast<int64_t>(input.storage().nbytes() / input.itemsize())}, -1, owner.options());
  const Tensor laid = storage.as_strided(input.sizes(), input.strides(), input.storage_offset()).copy_(owner);
  torch::jit::Stack stack = node.arguments;
  stack[0] = laid;
  node.op.callBoxed(&stack);
  const Tensor owners = stack[0].toTensor();
  if (owners.lt(0).any().item<bool>()) refuse_unknown(node, output);  // numbers of another tensor
  return owners;
}

Tensor moved(const Node& node, const Tensors& slot_tensors, const Tensors& slot_owners, size_t output_index) {
  torch::jit::Stack stack = node.arguments;
  Tensor any;
  for (const Tensor& owner : slot_owners) {
    if (owner.defined()) any = owner;
  }
  const int64_t dim_at = argument_index(node, "dim");
  for (size_t k = 0; k < node.slots.size(); ++k) {
    const Slot& slot = node.slots[k];
    Tensor owner = slot_owners[k];
    if (slot.list_position < 0) {
      if (owner.defined() && node.op.schema().arguments()[size_t(slot.argument)].name() != "index") stack[size_t(slot.argument)] = owner;
      continue;
    }
    if (!owner.defined() && node.name == "aten::cat" && dim_at >= 0) {  // a shared piece joined to rows of examples belongs to them
      const int64_t dim = stack[size_t(dim_at)].toInt();
      owner = any.narrow(dim, 0, 1).expand(slot_tensors[k].sizes());
    } else if (!owner.defined()) {
      owner = any;
    }
    if (stack[size_t(slot.argument)].isTensorList()) {
      auto list = stack[size_t(slot.argument)].toTensorVector();
      list[size_t(slot.list_position)] = owner;
      stack[size_t(slot.argument)] = list;
    }
  }
  node.op.callBoxed(&stack);
  if (stack[0].isTensorList()) return stack[0].toTensorVector().at(output_index);
  return stack.at(output_index).toTensor();
}

Tensor reduced(const Node& node, const Tensor& input, Tensor owner, const Tensor& output) {
  std::vector<int64_t> dims;
  const int64_t at = argument_index(node, "dim");
  if (at >= 0 && node.arguments[size_t(at)].isInt()) dims = {node.arguments[size_t(at)].toInt()};
  else if (at >= 0 && node.arguments[size_t(at)].isIntList()) dims = node.arguments[size_t(at)].toIntVector();
  if (dims.empty()) {
    for (int64_t d = 0; d < input.dim(); ++d) dims.push_back(d);
  }
  for (int64_t& d : dims) d = d < 0 ? d + input.dim() : d;
  std::sort(dims.rbegin(), dims.rend());
  for (const int64_t d : dims) {
    if (!constant_along(owner, d)) refuse_coupled(node);
    owner = output.dim() == input.dim() ? owner.narrow(d, 0, 1) : owner.select(d, 0);
  }
  return owner.expand(output.sizes());
}

Tensor of_product(const Node& node, const Tensors& slot_owners, const Tensor& output) {
  // The first matrix's rows, or, where it is shared, the second's columns.
  const bool three = node.name == "aten::addmm" || node.name == "aten::baddbmm" || node.name == "aten::addbmm";
  Tensor first, second;
  for (size_t k = 0; k < node.slots.size(); ++k) {
    if (node.slots[k].argument == (three ? 1 : 0)) first = slot_owners[k];
    if (node.slots[k].argument == (three ? 2 : 1)) second = slot_owners[k];
  }
  if (first.defined()) {
    if (!constant_along(first, first.dim() - 1)) refuse_coupled(node);
    if (first.dim() == 1) return first.select(0, 0).expand(output.sizes());
    return first.select(-1, 0).unsqueeze(-1).expand(output.sizes());
  }
  if (!second.defined()) return {};
  if (second.dim() >= 2 && !constant_along(second, second.dim() - 2)) refuse_coupled(node);
  if (node.name == "aten::linear") return {};
  return second.dim() == 1 ? second.select(0, 0).expand(output.sizes()) : second.select(-2, 0).unsqueeze(-2).expand(output.sizes());
}

bool same_owners(const Tensor& a, const Tensor& b) {
  if (a.data_ptr() == b.data_ptr() && a.strides() == b.strides()) return true;
  return at::equal(a, b);
}

}  // namespace

Tensor leading_owner(const Tensor& arange, at::IntArrayRef sizes) {
  std::vector<int64_t> shape(sizes.size(), 1);
  shape[0] = arange.size(0);
  return arange.view(shape).expand(sizes);
}

std::optional<int64_t> example_dimension(const Tensor& owner, int64_t n) {
  std::optional<int64_t> found;
  for (int64_t d = 0; d < owner.dim(); ++d) {
    if (owner.size(d) <= 1 || owner.stride(d) == 0) continue;
    if (found || owner.size(d) != n) return std::nullopt;
    found = d;
  }
  if (!found) return std::nullopt;
  Tensor line = owner;
  for (int64_t d = owner.dim() - 1; d >= 0; --d) {
    if (d != *found) line = line.select(d, 0);
  }
  if (!at::equal(line, at::arange(n, owner.options()))) return std::nullopt;
  return found;
}

Tensor output_owner(const Node& node, const Tensors& slot_tensors, const Tensors& slot_owners, const Tensor& output, size_t output_index, bool constant) {
  static const Names products = {"aten::linear", "aten::matmul", "aten::mm", "aten::bmm", "aten::addmm", "aten::baddbmm", "aten::mv"};
  Tensor owner, input;
  int64_t owner_argument = -1;
  for (size_t k = 0; k < slot_owners.size(); ++k) {
    if (!owner.defined() && slot_owners[k].defined()) owner = slot_owners[k], input = slot_tensors[k], owner_argument = node.slots[k].argument;
  }
  if (!owner.defined()) return {};
  if (output.dim() == 0 && owner.dim() == 0) return owner;
  if (node.name == "aten::nonzero") return owner.masked_select(input.ne(0)).unsqueeze(1).expand(output.sizes());
  if (takes_batch_statistics(node) && owner_argument == 0 && !constant) refuse_coupled(node);
  if (node.name == "aten::_embedding_bag" && owner_argument == 1 && output_index != 1) {  // a bag's owner is that of its first index
    const Tensor offsets = node.arguments[2].toTensor().narrow(0, 0, output.size(0)).to(at::kLong);
    const Tensor bags = owner.index_select(0, offsets.clamp_max(owner.size(0) - 1));
    return output.dim() == 2 ? bags.unsqueeze(1).expand(output.sizes()) : bags;
  }
  if (node.name == "aten::embedding") return owner.unsqueeze(-1).expand(output.sizes());
  if (node.name == "aten::view" || node.name == "aten::_unsafe_view" || node.name == "aten::_reshape_alias") return owner.reshape(output.sizes());
  if (node.name == "aten::as_strided") return restrided(node, input, owner, output);
  if (moves.count(node.name)) return moved(node, slot_tensors, slot_owners, output_index);
  if (products.count(node.name)) {
    Tensor found = of_product(node, slot_owners, output);
    if (found.defined()) return found;
  }
  if (leading.count(node.name)) {
    if (owner_argument == 0 && output.dim() > 0 && output.size(0) == owner.size(0)) {
      Tensor first = owner;
      for (int64_t d = owner.dim() - 1; d > 0; --d) first = first.narrow(d, owner.size(d) / 2, 1);
      return first.expand(output.sizes());
    }
  }
  if (reductions.count(node.name) && output.sizes() != input.sizes()) return reduced(node, input, owner, output);
  // Elementwise, or along a dimension that is kept: the owned inputs broadcast to the output's shape.
  std::vector<int64_t> shape = owner.sizes().vec();
  bool broadcasts = true;
  for (const Tensor& other : slot_owners) {
    if (!other.defined()) continue;
    if (!at::are_expandable(shape, other.sizes())) broadcasts = false;
    if (broadcasts) shape = at::infer_size(shape, other.sizes());
  }
  if (broadcasts && at::is_expandable_to(shape, output.sizes())) {
    Tensor out = owner.expand(output.sizes());
    for (const Tensor& other : slot_owners) {
      if (!other.defined() || other.is_same(owner)) continue;
      if (!same_owners(out, other.expand(output.sizes()))) refuse_coupled(node);
    }
    return out;
  }
  // Anything else: first dimension to first dimension (the probe checks it).
  if (output.dim() > 0 && owner.dim() > 0 && output.size(0) == owner.size(0)) {
    Tensor first = owner;
    for (int64_t d = owner.dim() - 1; d > 0; --d) first = first.select(d, 0);
    std::vector<int64_t> ones(size_t(output.dim()), 1);
    ones[0] = output.size(0);
    return first.reshape(ones).expand(output.sizes());
  }
  if (output.numel() <= 1) refuse_coupled(node);
  refuse_unknown(node, output);
}

}  // namespace pathkernel
