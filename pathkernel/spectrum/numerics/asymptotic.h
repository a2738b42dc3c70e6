#pragma once

#include <pathkernel/spectrum/numerics/real.h>
#include <pathkernel/spectrum/zonal_kernel.h>

#include <vector>

namespace pathkernel {

/// An Expansion at the precision of results.
struct WideTerm {
  Wide nu, c;
};
struct WideExpansion {
  std::vector<WideTerm> at_plus_one, at_minus_one;
  bool known() const { return !at_plus_one.empty() || !at_minus_one.empty(); }
};

/// See expansion().
WideExpansion wide_expansion(const ZonalKernel& kernel);

/// The building block B_k = μ_k[(1−u)^ν] = Γ(d/2) 2^{ν+d−2} Γ(k−ν) Γ(ν+(d−1)/2) / (√π Γ(−ν) Γ(k+ν+d−1)) (theory 7) for k = 0, 1, 2, …, by
/// B_{k+1} = B_k (k−ν)/(k+ν+d−1).
class BuildingBlock {
 public:
  BuildingBlock(const Wide& nu, int64_t dim);
  const Wide& value() const { return value_; }
  void next();

 private:
  Wide nu_, value_;
  int64_t dim_, k_ = 0;
};

/// Σ_ν c₁ B_k(ν) + (−1)^k Σ_ν c₋₁ B_k(ν), one k after another: the eigenvalues for large k. The series does not converge: its terms shrink
/// up to some ν, which grows with k.
class AsymptoticSeries {
 public:
  AsymptoticSeries(const WideExpansion& expansion, int64_t dim);

  int64_t k() const { return k_; }
  void next();
  void advance_to(int64_t k);

  /// How many terms, smallest ν first, to use at this k: up to the smallest one.
  size_t useful_terms() const;
  struct Sum {
    Wide value;
    Wide last;             ///< the largest term of the last whole step in ν: the size of what is left out
    double relative_error; ///< last/|value|
  };
  Sum sum(size_t terms) const;
  /// Σ_{k ≥ 0} N(d,k) times the sum over these terms: their value at u = 1, 2^ν for what stands at −1 and 0 for the others.
  Wide at_one(size_t terms) const;

 private:
  struct Term {
    WideTerm term;
    bool minus;
    BuildingBlock block;
  };
  std::vector<Term> terms_;
  int64_t k_ = 0;
};

}  // namespace pathkernel
