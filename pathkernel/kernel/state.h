#pragma once

#include <pathkernel/core/tensors.h>

#include <functional>
#include <vector>

namespace pathkernel {

/// Which pairs of inputs a state holds.
enum class Pairing {
  rectangular,  ///< x_i with y_j, [n, m]
  symmetric,    ///< x_i with x_j, [n, n]; the own kernels are its diagonal
  paired        ///< x_i with x_i, [n]: the diagonal of a Gram matrix
};

/// The covariances of an infinitely wide network's pre-activations, and their tangent kernel, after some of its layers: what flows
/// through a list of layers (theory 6).
///
/// K has the shape  pairs + space          for the same position s = s' in both inputs,
///              or  pairs + space + space  for all pairs of positions (s, s');
/// pairs is [n, m], [n, n] or [n] (see Pairing), space the sizes of the positions of convolutions, empty without.
struct KernelState {
  Tensor K;                  ///< E z(x, s)z(x', s')
  Tensor Theta;              ///< Σ over parameters of ∂z ∂z'; undefined while it is zero, or not wanted
  Tensor own_x, own_y;       ///< rectangular: K of (x_i, x_i) and (y_j, y_j), [n] + positions; undefined once nothing needs them
  Pairing pairing = Pairing::rectangular;
  std::vector<int64_t> space;
  bool all_positions = false;      ///< of K and Theta
  bool own_all_positions = false;  ///< of own_x and own_y
  bool with_tangent = true;        ///< whether Θ is wanted
  int64_t channels = 0;            ///< numbers per position that go into the next layer (its width; for the standard parametrisation)
  bool gaussian = false;           ///< whether this is a Gaussian process, as a nonlinearity takes it for granted
  /// One for each fan-out around: whether since then a dense or convolutional layer made this independent of its siblings, with mean zero.
  std::vector<bool> independent;

  size_t pair_dims() const { return pairing == Pairing::paired ? 1 : 2; }
  /// K(x,s; x,s) and K(y,s'; y,s'), shaped to broadcast against K.
  Tensor variance_x() const;
  Tensor variance_y() const;
  /// K of every x_i, and every y_j, with itself: [n] + positions.
  Tensor own_kernel_x() const;
  Tensor own_kernel_y() const;

  /// Applies a linear map of positions to K, Θ and the own kernels: map(t, pairs' dimensions, whether t has all pairs of positions).
  void map(const std::function<Tensor(const Tensor&, size_t, bool)>& map);
};

/// What a layer needs to know of its input.
struct Need {
  bool all_positions = false;      ///< K and Θ at all pairs of positions
  bool own = false;                ///< the own kernels at s = s'
  bool own_all_positions = false;  ///< the own kernels at all pairs of positions

  Need operator|(const Need& other) const {
    return {all_positions || other.all_positions, own || other.own, own_all_positions || other.own_all_positions};
  }
  Need with_own() const { return {all_positions, true, own_all_positions}; }
};

/// The state before the first layer: K = (1/C)Σ_c x_{c,s}x'_{c,s'}, Θ = 0.
/// @param x, y  [n, C], or [n, C, space...]; y is x for symmetric and paired
KernelState input_state(const Tensor& x, const Tensor& y, Pairing pairing, bool with_tangent, const Need& need);

/// Gives up what nobody needs: all pairs of positions become those with s = s'.
void reduce(KernelState& state, const Need& need);

/// The entries s = s' of t [pairs, space, space] → [pairs, space].
Tensor same_position(const Tensor& t, size_t pair_dims, size_t space_dims);

}  // namespace pathkernel
