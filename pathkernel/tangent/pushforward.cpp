#include <pathkernel/tangent/pushforward.h>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/cat.h>
#include <ATen/ops/zeros.h>
#include <pathkernel/core/error.h>
#include <pathkernel/core/generators.h>
#include <pathkernel/tangent/capture.h>
#include <pathkernel/tangent/push.h>
#include <torch/csrc/autograd/autograd.h>

#include <algorithm>

namespace pathkernel {
namespace {

std::vector<int64_t> with_queries(int64_t queries, at::IntArrayRef sizes) {
  std::vector<int64_t> out = {queries};
  out.insert(out.end(), sizes.begin(), sizes.end());
  return out;
}

/// After which node each value is read no more; −1: never read.
std::vector<int64_t> last_reads(const Tape& tape, ValueId y) {
  std::vector<int64_t> last(tape.values.size(), -1);
  for (size_t k = 0; k < tape.nodes.size(); ++k) {
    for (const Slot& slot : tape.nodes[k].slots) last[size_t(slot.value)] = int64_t(k);
  }
  last[size_t(y)] = int64_t(tape.nodes.size());
  return last;
}

/// One walk over the tape for some of the queries.
class Walk {
 public:
  Walk(const Tape& tape, const std::vector<int64_t>& last, int64_t queries, bool only_forward_mode)
      : tape_(tape), last_(last), queries_(queries), only_forward_mode_(only_forward_mode), tangents_(tape.values.size()) {}

  Tensor run(ValueId y, const Tensors& lambda) {
    for (size_t l = 0; l < lambda.size(); ++l) {
      const ValueId id = tape_.parameter_values[l];
      if (lambda[l].defined()) tangents_[size_t(id)] = lambda[l].reshape(with_queries(queries_, tape_.values[size_t(id)].sizes));
    }
    for (size_t k = 0; k < tape_.nodes.size(); ++k) {
      const Node& node = tape_.nodes[k];
      take(node);
      for (const Slot& slot : node.slots) {
        if (last_[size_t(slot.value)] <= int64_t(k)) tangents_[size_t(slot.value)] = Tensor();
      }
    }
    const Tensor& out = tangents_[size_t(y)];
    return out.defined() ? out : at::zeros(with_queries(queries_, tape_.values[size_t(y)].sizes), tape_.values[size_t(y)].tensor.options());
  }

 private:
  bool wanted(ValueId id) const { return id != no_value && tape_.values[size_t(id)].active && last_[size_t(id)] >= 0; }

  void take(const Node& node) {
    const auto moves = [&](const Slot& slot) { return tangents_[size_t(slot.value)].defined(); };
    if (std::none_of(node.slots.begin(), node.slots.end(), moves)) return;
    if (std::none_of(node.outputs.begin(), node.outputs.end(), [&](ValueId id) { return wanted(id); })) return;
    if (node.is_alias) {
      take_alias(node);
      return;
    }
    const PushCall call(tape_, node, tangents_, queries_);
    const PushRule* push = only_forward_mode_ ? nullptr : find_push(node.name);
    Tensors out = push != nullptr ? (*push)(call) : Tensors();
    for (size_t k = out.size(); k < node.outputs.size(); ++k) {
      if (!wanted(node.outputs[k])) continue;
      out = forward_mode(call);
      break;
    }
    for (size_t k = 0; k < node.outputs.size(); ++k) {
      if (wanted(node.outputs[k])) tangents_[size_t(node.outputs[k])] = out[k];
    }
  }

  /// After a write through one name, another name of the same storage: what it overlaps moves as the write, the rest as before.
  void take_alias(const Node& node) {
    const Tensor &written = tangents_[size_t(node.slots[0].value)], &before = tangents_[size_t(node.slots[1].value)];
    const auto& place = node.arguments;
    const int64_t length = place[6].toInt();
    Tensor whole = at::zeros({queries_, length}, (written.defined() ? written : before).options());
    const auto window = [&](size_t k) {
      return whole.as_strided(with_queries(queries_, place[k].toIntVector()), with_queries(length, place[k + 1].toIntVector()), place[k + 2].toInt());
    };
    if (before.defined()) window(0).copy_(before);
    if (written.defined()) window(3).copy_(written);
    else window(3).zero_();
    tangents_[size_t(node.outputs[0])] = window(0).clone();
  }

  const Tape& tape_;
  const std::vector<int64_t>& last_;
  int64_t queries_;
  bool only_forward_mode_;
  Tensors tangents_;
};

/// Bytes of the tangents alive at the fullest moment of a walk for one query, and of what an operation makes on the way.
int64_t bytes_per_query(const Tape& tape, const std::vector<int64_t>& last) {
  const auto size = [&](ValueId id) {
    const Value& value = tape.values[size_t(id)];
    int64_t numbers = value.active && last[size_t(id)] >= 0 ? 1 : 0;
    for (const int64_t d : value.sizes) numbers *= d;
    return numbers * 8;
  };
  int64_t alive = 0, most = 0;
  for (size_t k = 0; k < tape.nodes.size(); ++k) {
    int64_t made = 0;
    for (const ValueId id : tape.nodes[k].outputs) made += id == no_value ? 0 : size(id);
    alive += made;
    most = std::max(most, alive + 2 * made);
    std::vector<ValueId> read;
    for (const Slot& slot : tape.nodes[k].slots) read.push_back(slot.value);
    std::sort(read.begin(), read.end());
    read.erase(std::unique(read.begin(), read.end()), read.end());
    for (const ValueId id : read) {
      if (tape.values[size_t(id)].parameter < 0 && last[size_t(id)] == int64_t(k)) alive -= size(id);
    }
  }
  return std::max<int64_t>(most, 1);
}

/// The generators as they were when it goes.
class GeneratorsPutBack {
 public:
  explicit GeneratorsPutBack(at::Device device) : before_(GeneratorStates::now(device)) {}
  ~GeneratorsPutBack() { before_.restore(); }
  GeneratorsPutBack(const GeneratorsPutBack&) = delete;
  GeneratorsPutBack& operator=(const GeneratorsPutBack&) = delete;

 private:
  GeneratorStates before_;
};

/// Buffers bound to copies, and to what they were bound to before when it goes.
class BuffersPutBack {
 public:
  explicit BuffersPutBack(Model& model) : model_(model) {
    for (const NamedTensor& buffer : model.buffers()) before_.push_back(buffer.tensor.detach());
    model.bind_buffers(copies(before_));
  }
  ~BuffersPutBack() { model_.bind_buffers(before_); }
  BuffersPutBack(const BuffersPutBack&) = delete;
  BuffersPutBack& operator=(const BuffersPutBack&) = delete;

 private:
  Model& model_;
  Tensors before_;
};

}  // namespace

Tensor pushforward(const Tape& tape, ValueId y, const Tensors& lambda, const PushOptions& options) {
  const at::AutoGradMode off(false);
  int64_t queries = 0;
  for (const Tensor& t : lambda) {
    if (t.defined()) queries = t.size(0);
  }
  const std::vector<int64_t> last = last_reads(tape, y);
  const int64_t chunk = std::max<int64_t>(1, options.memory / bytes_per_query(tape, last));
  Tensors parts;
  for (int64_t first = 0; first < queries; first += chunk) {
    const int64_t count = std::min(chunk, queries - first);
    Tensors some;
    for (const Tensor& t : lambda) some.push_back(t.defined() ? t.narrow(0, first, count) : t);
    parts.push_back(Walk(tape, last, count, options.only_forward_mode).run(y, some));
  }
  if (parts.empty()) return at::zeros(with_queries(0, tape.values[size_t(y)].sizes), tape.values[size_t(y)].tensor.options());
  return parts.size() == 1 ? parts.front() : at::cat(parts);
}

LossTape::LossTape(Model& model, const Tensors& examples, const std::function<Tensor()>& losses, const std::function<Tensor(const Tensor&)>& weights) {
  const at::AutoGradMode on(true);
  const Tensors parameters = values(model.parameters());
  if (parameters.empty()) throw InvalidInput("the tape: the model has no parameters");
  const GeneratorsPutBack generators(parameters.front().device());
  const BuffersPutBack buffers(model);
  Tensor on_graph;
  {
    Capture capture(tape_, Side::forward, model.parameters(), model.buffers(), examples);
    on_graph = losses();
    id_ = tape_.find(on_graph);
  }
  if (id_ == no_value || !tape_.values[size_t(id_)].active) {
    throw InvalidInput("the tape: the losses do not come from the parameters by operations that torch differentiates");
  }
  losses_ = on_graph.detach();
  if (!weights) return;
  gradient_ = torch::autograd::grad({on_graph}, parameters, {weights(losses_)}, /*retain_graph=*/false, /*create_graph=*/false, /*allow_unused=*/true);
  for (Tensor& g : gradient_) {
    if (g.defined()) g = g.detach().reshape(-1);
  }
}

Tensor LossTape::products(const Tensors& lambda, const PushOptions& options) const { return pushforward(tape_, id_, lambda, options).t(); }

}  // namespace pathkernel
