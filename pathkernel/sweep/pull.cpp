#include <pathkernel/sweep/pull.h>

#include <ATen/ops/matmul.h>
#include <pathkernel/tangent/contraction.h>

namespace pathkernel {
namespace {

/// Sᵀg, or g Sᵀ from the right.
Factor pulled(const SideMatrix& S, Factor g) {
  if (g.kind == Factor::Kind::outer && g.left.size(1) == 1) {  // (Sᵀl) ⊗ r, or l ⊗ (S r)
    if (S.from_right) g.right = at::matmul(S.S, g.right);
    else g.left = at::matmul(S.S.t(), g.left);
    return g;
  }
  if (g.kind == Factor::Kind::rows && S.from_right) {
    g.left = at::matmul(g.left, S.S.t());
    return g;
  }
  return dense_factor(S.transposed_times(materialise({g}, g.examples(), g.numbers, g.left.options())));
}

}  // namespace

Pull pull(const LinearForm& form, const FactorList& G, const Tensor& q) {
  if (!form.S.defined()) return {G, q};
  Pull y{{}, q.defined() ? form.S.transposed_times(q) : q};
  for (const Factor& g : G) y.factored.push_back(pulled(form.S, g));
  return y;
}

}  // namespace pathkernel
