// Means over positions, and the end of positions: average pooling, global average pooling, flatten.

#include <pathkernel/core/error.h>
#include <pathkernel/kernel/layers/layers.h>

#include <fmt/format.h>

#include <functional>
#include <numeric>

namespace pathkernel::stax {
namespace {

/// Linear maps of positions: they keep a Gaussian process one.
class AvgPool : public SingleLayer {
 public:
  explicit AvgPool(Window window) : window_(std::move(window)) {}
  std::string specification() const override { return "avgpool:" + window_.specification(); }

 protected:
  std::vector<int64_t> space_after(const std::vector<int64_t>& space) const override { return window_.output_space(space, specification()); }
  Need need(const Need& of_output) const override { return {true, of_output.own, of_output.own || of_output.own_all_positions}; }
  void propagate(KernelState& state, uint64_t) const override {
    const std::vector<int64_t> space = space_after(state.space);
    const double k = window_.count();
    state.map([&](const Tensor& t, size_t lead, bool) { return window_sum(t, window_, lead, /*both=*/true, /*together=*/false).div_(k * k); });
    state.space = space;
  }
  Shape draw(const Shape& input, ParameterDraw&) const override {
    Shape output = space_after({input.begin() + 1, input.end()});
    output.insert(output.begin(), input[0]);
    return output;
  }
  Tensor forward(const Tensor& x, ParameterReader&) const override {
    return window_sum(x, window_, 2, /*both=*/false, /*together=*/false) / window_.count();
  }

 private:
  Window window_;
};

std::vector<int64_t> axes(size_t first, size_t count) {
  std::vector<int64_t> list(count);
  std::iota(list.begin(), list.end(), static_cast<int64_t>(first));
  return list;
}

/// Leaves no positions.
class Readout : public SingleLayer {
 protected:
  std::vector<int64_t> space_after(const std::vector<int64_t>&) const override { return {}; }
  void end_positions(KernelState& state, const std::function<Tensor(const Tensor&, size_t, bool)>& mean) const {
    if (state.space.empty()) return;
    state.map(mean);
    state.space.clear();
    state.all_positions = state.own_all_positions = false;
  }
};

class GlobalAvgPool : public Readout {
 public:
  std::string specification() const override { return "gap"; }

 protected:
  Need need(const Need& of_output) const override { return {true, of_output.own, of_output.own || of_output.own_all_positions}; }
  void propagate(KernelState& state, uint64_t) const override {
    if (state.space.empty()) throw InvalidInput("layer gap: there are no positions to take the mean of; inputs are [n, C, S] or [n, C, H, W]");
    const size_t k = state.space.size();
    end_positions(state, [&](const Tensor& t, size_t lead, bool) { return t.mean(axes(lead, 2 * k)); });
  }
  Shape draw(const Shape& input, ParameterDraw&) const override { return {input[0]}; }
  Tensor forward(const Tensor& x, ParameterReader&) const override { return x.mean(axes(2, static_cast<size_t>(x.dim()) - 2)); }
};

/// Entries of one position are now entries of one vector: with variances that differ among them, it is no Gaussian process of equal
/// units any more, and only a dense layer can follow.
class Flatten : public Readout {
 public:
  std::string specification() const override { return "flatten"; }

 protected:
  Need need(const Need& of_output) const override { return {false, of_output.own, false}; }
  void propagate(KernelState& state, uint64_t) const override {
    const size_t k = state.space.size();
    if (k > 0) state.gaussian = false;
    state.channels = std::accumulate(state.space.begin(), state.space.end(), state.channels, std::multiplies<>());
    end_positions(state, [&](const Tensor& t, size_t lead, bool both) {
      return (both ? same_position(t, lead, k) : t).mean(axes(lead, k));
    });
  }
  Shape draw(const Shape& input, ParameterDraw&) const override {
    return {std::accumulate(input.begin(), input.end(), int64_t{1}, std::multiplies<>())};
  }
  Tensor forward(const Tensor& x, ParameterReader&) const override { return x.flatten(1); }
};

}  // namespace

LayerPtr avg_pool(Window window) { return std::make_shared<AvgPool>(std::move(window)); }
LayerPtr global_avg_pool() { return std::make_shared<GlobalAvgPool>(); }
LayerPtr flatten() { return std::make_shared<Flatten>(); }

}  // namespace pathkernel::stax
