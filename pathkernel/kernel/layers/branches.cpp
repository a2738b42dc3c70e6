// Layers one after another and side by side, fan-out, and the sum of branches.

#include <pathkernel/core/error.h>
#include <pathkernel/kernel/layers/layers.h>

#include <fmt/format.h>

#include <algorithm>

namespace pathkernel::stax {
namespace {

/// Of one signal; where their number is wrong, propagate() says so.
Need need_of(const std::vector<Need>& needs, size_t signal) { return needs.size() == 1 ? needs[0] : signal < needs.size() ? needs[signal] : Need{}; }

/// What serial and parallel share: layers whose hyper-parameters are named "0.W_std", "1.scale", …
class Several : public Layer {
 public:
  explicit Several(std::vector<LayerPtr> layers) : layers_(std::move(layers)) {}
  std::vector<Hyperparameter> hyperparameters() const override {
    std::vector<Hyperparameter> all;
    for (size_t k = 0; k < layers_.size(); ++k) append_prefixed(all, std::to_string(k), layers_[k]->hyperparameters());
    return all;
  }
  bool assign(const std::string& name, const Tensor& value) override {
    for (size_t k = 0; k < layers_.size(); ++k)
      if (const std::string rest = without_prefix(std::to_string(k), name); !rest.empty()) return layers_[k]->assign(rest, value);
    return false;
  }
  bool is_random() const override {
    return std::any_of(layers_.begin(), layers_.end(), [](const LayerPtr& layer) { return layer->is_random(); });
  }

 protected:
  /// Layer k draws; its parameters are called "2.0.W" inside of layer 2.
  std::vector<Shape> draw_layer(size_t k, const std::vector<Shape>& inputs, ParameterDraw& to) const {
    const std::string outer = to.layer;
    to.layer += (outer.empty() ? "" : ".") + std::to_string(k);
    std::vector<Shape> outputs = layers_[k]->draw(inputs, to);
    to.layer = outer;
    return outputs;
  }

  std::vector<LayerPtr> layers_;
};

class Serial : public Several {
 public:
  using Several::Several;
  std::string specification() const override {
    std::string text;
    for (const LayerPtr& layer : layers_) text += (text.empty() ? "" : " ") + layer->specification();
    return text;
  }
  std::vector<Need> needs(const std::vector<Need>& of_outputs) const override { return all_needs(of_outputs).front(); }

  std::vector<KernelState> propagate(std::vector<KernelState> states, const std::vector<Need>& of_outputs, uint64_t draw) const override {
    const std::vector<std::vector<Need>> needs = all_needs(of_outputs);
    for (size_t l = 0; l < layers_.size(); ++l) {
      states = layers_[l]->propagate(std::move(states), needs[l + 1], draw);
      for (size_t k = 0; k < states.size(); ++k) reduce(states[k], need_of(needs[l + 1], k));
    }
    return states;
  }
  double numbers_per_pair(std::vector<int64_t>& space, const std::vector<Need>& of_outputs) const override {
    const std::vector<std::vector<Need>> needs = all_needs(of_outputs);
    double largest = 0;
    for (size_t l = 0; l < layers_.size(); ++l) largest = std::max(largest, layers_[l]->numbers_per_pair(space, needs[l + 1]));
    return largest;
  }
  std::vector<Shape> draw(const std::vector<Shape>& inputs, ParameterDraw& to) const override {
    std::vector<Shape> shapes = inputs;
    for (size_t l = 0; l < layers_.size(); ++l) shapes = draw_layer(l, shapes, to);
    return shapes;
  }
  Tensors forward(Tensors x, ParameterReader& parameters) const override {
    for (const LayerPtr& layer : layers_) x = layer->forward(std::move(x), parameters);
    return x;
  }

 private:
  /// What is needed before each layer, and after the last one.
  std::vector<std::vector<Need>> all_needs(const std::vector<Need>& of_outputs) const {
    std::vector<std::vector<Need>> needs(layers_.size() + 1);
    needs.back() = of_outputs;
    for (size_t l = layers_.size(); l-- > 0;) needs[l] = layers_[l]->needs(needs[l + 1]);
    return needs;
  }
};

class Parallel : public Several {
 public:
  using Several::Several;
  std::string specification() const override {
    std::string text = "parallel(";
    for (const LayerPtr& layer : layers_) text += (text.ends_with('(') ? "" : " | ") + layer->specification();
    return text + ")";
  }
  std::vector<Need> needs(const std::vector<Need>& of_outputs) const override {
    std::vector<Need> needs;
    for (size_t k = 0; k < layers_.size(); ++k) needs.push_back(layers_[k]->needs({need_of(of_outputs, k)}).at(0));
    return needs;
  }
  std::vector<KernelState> propagate(std::vector<KernelState> states, const std::vector<Need>& of_outputs, uint64_t draw) const override {
    check(states.size());
    for (size_t k = 0; k < layers_.size(); ++k) states[k] = layers_[k]->propagate({std::move(states[k])}, {need_of(of_outputs, k)}, draw).at(0);
    return states;
  }
  double numbers_per_pair(std::vector<int64_t>& space, const std::vector<Need>& of_outputs) const override {
    const std::vector<int64_t> before = space;
    double sum = 0;  // while one branch works, the states of the others are held
    for (size_t k = 0; k < layers_.size(); ++k) {
      space = before;
      sum += layers_[k]->numbers_per_pair(space, {need_of(of_outputs, k)});
    }
    return sum;
  }
  std::vector<Shape> draw(const std::vector<Shape>& inputs, ParameterDraw& to) const override {
    check(inputs.size());
    std::vector<Shape> outputs;
    for (size_t k = 0; k < layers_.size(); ++k) outputs.push_back(draw_layer(k, {inputs[k]}, to).at(0));
    return outputs;
  }
  Tensors forward(Tensors x, ParameterReader& parameters) const override {
    for (size_t k = 0; k < layers_.size(); ++k) x[k] = layers_[k]->forward({x[k]}, parameters).at(0);
    return x;
  }

 private:
  void check(size_t signals) const {
    if (signals != layers_.size())
      throw InvalidInput(fmt::format("layer parallel has {} branches, but {} signals arrive; put fanout:{} before it", layers_.size(), signals,
                                     layers_.size()));
  }
};

class FanOut : public Layer {
 public:
  explicit FanOut(int64_t count) : count_(static_cast<size_t>(count)) {}
  std::string specification() const override { return fmt::format("fanout:{}", count_); }
  std::vector<Need> needs(const std::vector<Need>& of_outputs) const override {
    Need all;
    for (const Need& need : of_outputs) all = all | need;
    return {all};
  }
  std::vector<KernelState> propagate(std::vector<KernelState> states, const std::vector<Need>&, uint64_t) const override {
    check(states.size());
    states[0].independent.push_back(false);
    return std::vector<KernelState>(count_, states[0]);
  }
  std::vector<Shape> draw(const std::vector<Shape>& inputs, ParameterDraw&) const override {
    check(inputs.size());
    return std::vector<Shape>(count_, inputs[0]);
  }
  Tensors forward(Tensors x, ParameterReader&) const override { return Tensors(count_, x[0]); }
  double numbers_per_pair(std::vector<int64_t>&, const std::vector<Need>&) const override { return 0; }  // copies share their numbers

 private:
  static void check(size_t signals) {
    if (signals != 1) throw InvalidInput(fmt::format("layer fanout copies one signal, but {} arrive; put faninsum before it", signals));
  }
  size_t count_;
};

class FanInSum : public Layer {
 public:
  std::string specification() const override { return "faninsum"; }
  std::vector<Need> needs(const std::vector<Need>& of_outputs) const override { return of_outputs; }

  std::vector<KernelState> propagate(std::vector<KernelState> states, const std::vector<Need>&, uint64_t) const override {
    check(states);
    KernelState sum = std::move(states[0]);
    for (size_t k = 1; k < states.size(); ++k) add(sum, states[k]);
    sum.independent.pop_back();
    return {sum};
  }
  std::vector<Shape> draw(const std::vector<Shape>& inputs, ParameterDraw&) const override {
    for (const Shape& shape : inputs)
      if (shape != inputs[0])
        throw InvalidInput(fmt::format("layer faninsum: the branches give {} and {} numbers per example in different shapes; give the branch's "
                                       "layers the width and the padding (same) that keep the shape",
                                       print(inputs[0]), print(shape)));
    return {inputs[0]};
  }
  Tensors forward(Tensors x, ParameterReader&) const override {
    Tensor sum = x[0];
    for (size_t k = 1; k < x.size(); ++k) sum = sum + x[k];
    return {sum};
  }
  double numbers_per_pair(std::vector<int64_t>&, const std::vector<Need>&) const override { return 0; }  // counted with the branches

 private:
  static std::string print(const Shape& shape) { return fmt::format("{}", fmt::join(shape, "x")); }

  static void check(const std::vector<KernelState>& states) {
    const KernelState& first = states.at(0);
    int64_t dependent = 0;
    for (const KernelState& state : states) {
      if (state.independent.empty()) throw InvalidInput("layer faninsum: there is no fanout before it");
      if (state.space != first.space)
        throw InvalidInput(fmt::format("layer faninsum: the branches have {} and {} positions; use padding same and the same strides",
                                       print(first.space), print(state.space)));
      dependent += state.independent.back() ? 0 : 1;
    }
    if (dependent > 1)
      throw InvalidInput(fmt::format("layer faninsum: {} branches have no dense or conv layer of their own as the last thing that is not linear, so "
                                     "that they are correlated; at most one such branch can be added",
                                     dependent));
  }

  static void add(KernelState& sum, KernelState& other) {
    const auto plus = [](const Tensor& a, const Tensor& b) { return a.defined() && b.defined() ? a + b : a.defined() ? a : b; };
    // Both as they came: of the same pairs of positions, since both were asked for the same.
    sum.K = sum.K + other.K;
    sum.Theta = plus(sum.Theta, other.Theta);
    if (sum.own_x.defined()) sum.own_x = sum.own_x + other.own_x;
    if (sum.own_y.defined()) sum.own_y = sum.own_y + other.own_y;
    sum.gaussian = sum.gaussian && other.gaussian;
    sum.channels = std::max(sum.channels, other.channels);
    for (size_t k = 0; k < sum.independent.size(); ++k) sum.independent[k] = sum.independent[k] && other.independent.at(k);
  }
};

}  // namespace

LayerPtr serial(std::vector<LayerPtr> layers) { return std::make_shared<Serial>(std::move(layers)); }

LayerPtr parallel(std::vector<LayerPtr> branches) {
  if (branches.empty()) throw InvalidInput("layer parallel: no branches were given");
  return std::make_shared<Parallel>(std::move(branches));
}

LayerPtr fan_out(int64_t count) {
  if (count < 1) throw InvalidInput(fmt::format("layer fanout: {} copies were asked for; it takes a positive number", count));
  return std::make_shared<FanOut>(count);
}

LayerPtr fan_in_sum() { return std::make_shared<FanInSum>(); }

}  // namespace pathkernel::stax
