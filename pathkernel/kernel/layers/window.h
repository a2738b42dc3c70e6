#pragma once

#include <pathkernel/core/tensors.h>

#include <string>
#include <utility>
#include <vector>

namespace pathkernel::stax {

/// valid: only where the window fits; same: zeros around, ⌈size/stride⌉ positions come out, the odd zero at the end;
/// circular: as same, with the other end of the signal in place of zeros.
enum class Padding { valid, same, circular };

/// The window that convolutions and pooling slide over positions.
struct Window {
  std::vector<int64_t> sizes;
  std::vector<int64_t> strides;  ///< as many as sizes
  Padding padding = Padding::valid;

  /// Number of places in the window.
  double count() const;
  /// Positions that come out. @param owner  for messages
  /// @throws InvalidInput when the input has another number of axes, or is smaller than the window
  std::vector<int64_t> output_space(const std::vector<int64_t>& space, const std::string& owner) const;
  /// "3x5,stride=2x1,same"
  std::string specification() const;

  /// t with what padding adds before and after one axis, the d-th of the window.
  Tensor padded(const Tensor& t, int64_t dim, size_t d) const;

 private:
  std::pair<int64_t, int64_t> margins(int64_t size, size_t d) const;
};

/// Sums over the window. With `together`, t [pairs, space, space] is shifted by the same offset in both positions, Σ_j t_{s+j,s'+j} (a
/// convolution's covariance); without, every axis group on its own: Σ_j t_{s+j} on [.., space], Σ_{j,j'} t_{s+j,s'+j'} on both.
/// @param lead  dimensions before the positions   @param both  whether positions are there twice
Tensor window_sum(const Tensor& t, const Window& window, size_t lead, bool both, bool together);

}  // namespace pathkernel::stax
