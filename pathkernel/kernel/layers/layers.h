#pragma once

#include <pathkernel/kernel/duals/dual.h>
#include <pathkernel/kernel/layers/layer.h>
#include <pathkernel/kernel/layers/window.h>

#include <optional>

/// The layers, one small file each. neural-tangents' names where it has them; images are channels-first, [n, C, H, W].
namespace pathkernel::stax {

struct AffineOptions {
  int64_t width = 0;            ///< units or channels that come out; 0 leaves it to the finite network's default
  double W_std = 1;
  std::optional<double> b_std;  ///< no bias without it
  Parametrization parametrization = Parametrization::ntk;
};

/// z = Wx + b at every position (see Parametrization).
LayerPtr dense(const AffineOptions& options = {});
/// The same over windows: C_{ss'} → A(C), (A M)_{ss'} = (1/k)Σ_j M_{s+j, s'+j}.
LayerPtr conv(Window window, const AffineOptions& options = {});
/// An elementwise function.
LayerPtr activation(DualPtr phi);

/// z → scale·z: K and Θ times scale².
LayerPtr scale(double scale);
LayerPtr identity();
LayerPtr serial(std::vector<LayerPtr> layers);
/// Branch k works on signal k.
LayerPtr parallel(std::vector<LayerPtr> branches);
LayerPtr fan_out(int64_t count);
/// The sum of all signals. All but one must have passed a dense or convolutional layer since the fan-out, with nothing nonlinear after it:
/// otherwise they are correlated, and the covariance of the sum is not the sum of the covariances.
LayerPtr fan_in_sum();

/// (z − mean)/√(variance + eps) over the channels, of a Gaussian process: K/√((K₁₁ + eps)(K₂₂ + eps)), Θ likewise.
LayerPtr layer_norm(double eps = 1e-12);
/// Means over windows; padding counts as zeros, divided by the whole window.
LayerPtr avg_pool(Window window);
/// Mean over all positions: mean of K over all pairs (s, s').
LayerPtr global_avg_pool();
/// All positions' channels side by side: mean of K over s = s'.
LayerPtr flatten();

enum class Attention { softmax, identity };
struct AttentionOptions {
  int64_t width = 0, key_width = 0, value_width = 0, heads = 8;  ///< of the finite network; 0 leaves it to its default
  /// true: logits qk/d_k with W_Q = W_K, which become deterministic; false: qk/√d_k, Gaussian logits.
  bool linear_scaling = true;
  double W_key_std = 1, W_value_std = 1, W_query_std = 1, W_out_std = 1;
  std::optional<double> b_std;
  Attention mechanism = Attention::softmax;
  /// Of the Monte-Carlo estimate for softmax with Gaussian logits, and where its random numbers come from.
  int64_t samples = 1000;
  uint64_t seed = 0;
};
/// Self-attention over all positions with infinitely many heads (theory 6; Hron et al. 2020).
LayerPtr global_self_attention(const AttentionOptions& options = {});

}  // namespace pathkernel::stax
