#pragma once

#include <pathkernel/kernel/kernel.h>
#include <pathkernel/kernel/layers/layers.h>
#include <pathkernel/model/model.h>

#include <memory>
#include <optional>
#include <string>
#include <vector>

namespace pathkernel {

enum class Limit { ntk, nngp };

/// A network as a list of layers: its limit at infinite width, and networks of finite width.
class Network {
 public:
  explicit Network(std::vector<stax::LayerPtr> layers);

  /// As parse_network() reads it.
  std::string specification() const;

  /// Covariance K and tangent kernel Θ of the outputs, with what is left of the positions (none after gap or flatten).
  /// @param x, y  [n, C] or [n, C, space...]; y is x for Pairing::symmetric and paired
  /// @param with_tangent  whether Θ is wanted   @param draw  which random numbers Monte-Carlo estimates use
  /// @throws InvalidInput naming the layer that cannot follow what was before it
  KernelState propagate(const Tensor& x, const Tensor& y, Pairing pairing, bool with_tangent, uint64_t draw = 0) const;

  /// Whether a layer estimates by Monte Carlo (attention with softmax and Gaussian logits).
  bool is_random() const { return root_->is_random(); }
  /// See Kernel::numbers_per_pair.
  double numbers_per_pair(const Tensor& x) const;

  /// Names "0.W_std", "2.1.b_std": the layer's place in the list, and within branches.
  std::vector<Hyperparameter> hyperparameters() const { return root_->hyperparameters(); }
  bool assign(const std::string& name, const Tensor& value) { return root_->assign(name, value); }

  const std::vector<stax::LayerPtr>& layers() const { return layers_; }

 private:
  std::vector<stax::LayerPtr> layers_;
  stax::LayerPtr root_;
};

/// What layers have where the text says nothing.
struct LayerDefaults {
  double W_std = 1;
  std::optional<double> b_std;
  stax::Parametrization parametrization = stax::Parametrization::ntk;
};

/// Reads layers separated by blanks:
///   dense[:512]  conv:3x3[,same|circular][,stride=2][,width=64]   with w=W_std, b=b_std, standard (or ntk)
///   relu  leaky:0.1  abs  abrelu:0.1,1  erf[:a,b,c]  gelu  sin[:a,b,c]  cos[:a,b,c]  exp[:a,b]  gaussian[:a,b]  sign[:flat]  step[:flat]
///   monomial:3  rectified:2  polynomial:p0,p1,…  hermite:a0,a1,…  tanh  sigmoid  silu  softplus
///   layernorm[:eps]  avgpool:2x2[,stride=2][,same|circular]  gap  flatten  identity  scale:0.5
///   residual[:0.5]( … )             z + 0.5·(…)z
///   fanout:2  parallel( … | … )  faninsum
///   attention[:identity][,scale=sqrt][,w_query=…,w_key=…,w_value=…,w_out=…,b=…][,samples=…,seed=…][,width=…,key=…,value=…,heads=…]
/// @throws InvalidInput naming the layer and what is known
Network parse_network(const std::string& text, const LayerDefaults& defaults = {});

/// The tangent kernel, or the covariance of the outputs, as a kernel. Inputs [n, d] or channels-first images; shares the network's layers.
/// gram() @throws InvalidInput when positions are left at the end: gap or flatten is missing
KernelPtr network_kernel(Network network, Limit limit);

struct FiniteOptions {
  int64_t width = 0;    ///< of layers that state none; 0: all must
  int64_t outputs = 1;  ///< width of the last layer, where it states none
  uint64_t seed = 0;
  at::ScalarType dtype = at::kDouble;
};

/// One random network of finite width: a Model whose outputs are [n, outputs]. W_std and b_std are those of the list now.
/// @param example  sizes of one example, [C] or [C, space...]
std::unique_ptr<Model> finite_network(const Network& network, const std::vector<int64_t>& example, const FiniteOptions& options);

}  // namespace pathkernel
