#pragma once

#include <pathkernel/core/tensors.h>

#include <vector>

namespace pathkernel {

/// A per-example gradient of one parameter, kept as it arises (theory 4): n examples, W numbers in the parameter.
struct Factor {
  enum class Kind {
    outer,  ///< g = Σ_t left_t ⊗ right_t:  left [n, G, out, T], right [n, G, in, T];  W = G·out·in in this order (G: groups)
    rows,   ///< g[index_t] += left_t:      left [n, T, width], index [n, T] (−1: nothing);  W = rows·width (embedding)
    dense,  ///< g = left                   left [n, W]
  };
  Kind kind = Kind::dense;
  Tensor left, right, index;
  int64_t numbers = 0;  ///< W

  int64_t examples() const { return left.size(0); }
  int64_t terms() const { return kind == Kind::outer ? left.size(3) : kind == Kind::rows ? left.size(1) : 1; }  ///< T
};

Factor outer_factor(Tensor left, Tensor right);               ///< [n, out, T], [n, in, T]
Factor grouped_outer_factor(Tensor left, Tensor right);       ///< [n, G, out, T], [n, G, in, T]
Factor rows_factor(Tensor index, Tensor left, int64_t rows);
Factor dense_factor(Tensor values);                           ///< [n, ...]

/// Several uses of one parameter are several factors of one list; their gradients add (theory 4e).
using FactorList = std::vector<Factor>;

/// Per-example gradients of a model: one list per parameter. A list may be empty (the parameter did not take part).
struct FactorSet {
  int64_t examples = 0;
  std::vector<FactorList> parameters;

  void scale(double by);
  void append(FactorSet other);      ///< adds the other's gradients to these
  FactorSet to(at::ScalarType dtype) const;
  int64_t bytes() const;
};

}  // namespace pathkernel
