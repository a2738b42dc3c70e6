#pragma once

#include <pathkernel/kernel/hyperparameters.h>
#include <pathkernel/kernel/state.h>

#include <ATen/core/Generator.h>

#include <memory>
#include <string>
#include <vector>

namespace pathkernel::stax {

/// One example's sizes: channels, then the positions.
using Shape = std::vector<int64_t>;

/// Draws the parameters of a finite network.
class ParameterDraw {
 public:
  ParameterDraw(uint64_t seed, at::ScalarType dtype);
  /// Independent N(0, std²), appended to the list as a leaf that requires gradients.
  void normal(const std::string& name, at::IntArrayRef sizes, double std = 1);

  int64_t width = 0;        ///< of layers that state none
  std::string layer;        ///< goes before the names: "3.W"
  NamedTensors parameters;

 private:
  at::Generator generator_;
  at::ScalarType dtype_;
};

/// Hands the parameters out again in the order in which they were drawn.
class ParameterReader {
 public:
  explicit ParameterReader(const NamedTensors& parameters) : parameters_(parameters) {}
  const Tensor& next() { return parameters_.at(at_++).tensor; }

 private:
  const NamedTensors& parameters_;
  size_t at_ = 0;
};

/// One layer of a network: what it does to covariances in the limit of infinite width, and what it does to activations at a finite one.
/// Layers between fan-out and fan-in carry several signals; all others one. Names and arguments follow neural-tangents' `stax`.
class Layer {
 public:
  virtual ~Layer() = default;

  /// As it is written in a list of layers, with all of its numbers: "dense:512,w=1.5,b=0.1".
  virtual std::string specification() const = 0;

  /// What it needs of its inputs so that the outputs have what is needed of them. A list of one stands for every signal.
  virtual std::vector<Need> needs(const std::vector<Need>& of_outputs) const = 0;
  /// The states after the layer.
  /// @param draw  which random numbers a Monte-Carlo estimate uses
  /// @throws InvalidInput when the layer cannot follow what was before
  virtual std::vector<KernelState> propagate(std::vector<KernelState> inputs, const std::vector<Need>& of_outputs, uint64_t draw) const = 0;
  /// Whether propagate() estimates by Monte Carlo.
  virtual bool is_random() const { return false; }
  /// Numbers held for every pair of inputs while it works (see Kernel::numbers_per_pair).
  /// @param space  the positions before it; afterwards those that come out
  virtual double numbers_per_pair(std::vector<int64_t>& space, const std::vector<Need>& of_outputs) const = 0;

  /// Draws its parameters for examples of these shapes; returns the shapes after it.
  virtual std::vector<Shape> draw(const std::vector<Shape>& inputs, ParameterDraw& to) const = 0;
  /// Activations [n, C, space...].
  virtual Tensors forward(Tensors inputs, ParameterReader& parameters) const = 0;

  virtual std::vector<Hyperparameter> hyperparameters() const { return {}; }
  virtual bool assign(const std::string&, const Tensor&) { return false; }
};

using LayerPtr = std::shared_ptr<Layer>;

/// A layer of one input and one output.
class SingleLayer : public Layer {
 public:
  std::vector<Need> needs(const std::vector<Need>& of_outputs) const final;
  std::vector<KernelState> propagate(std::vector<KernelState> inputs, const std::vector<Need>& of_outputs, uint64_t draw) const final;
  std::vector<Shape> draw(const std::vector<Shape>& inputs, ParameterDraw& to) const final;
  Tensors forward(Tensors inputs, ParameterReader& parameters) const final;
  double numbers_per_pair(std::vector<int64_t>& space, const std::vector<Need>& of_outputs) const final;

 protected:
  /// The positions that come out of these.
  virtual std::vector<int64_t> space_after(const std::vector<int64_t>& space) const { return space; }
  /// Numbers held for every pair beyond copies of the state, for S positions.
  virtual double scratch_per_pair(double) const { return 0; }
  virtual Need need(const Need& of_output) const = 0;
  virtual void propagate(KernelState& state, uint64_t draw) const = 0;
  virtual Shape draw(const Shape& input, ParameterDraw& to) const = 0;
  virtual Tensor forward(const Tensor& x, ParameterReader& parameters) const = 0;
};

/// NTK: z = (W_std/√N)·Wx + b_std·b, W and b standard normal. Standard: z = Wx + b, W ~ N(0, W_std²/N), b ~ N(0, b_std²), N the number of
/// inputs of a unit: its tangent kernel grows with the widths.
enum class Parametrization { ntk, standard };

}  // namespace pathkernel::stax
