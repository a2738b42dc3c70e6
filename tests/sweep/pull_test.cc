// Sᵀy of an optimizer with a matrix, factored, against the same written out.
#include <pathkernel/sweep/pull.h>
#include <pathkernel/tangent/contraction.h>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace pathkernel {
namespace {

constexpr int64_t n = 3, A = 4, B = 6;
const at::TensorOptions f64 = at::kDouble;

Tensor written(const Pull& y) {
  Tensor sum = materialise(y.factored, n, A * B, f64);
  return y.dense.defined() ? sum + y.dense : sum;
}

TEST(Pull, IsTheTransposedMatrixTimesGradients) {
  at::manual_seed(5);
  const std::vector<FactorList> lists = {
      {outer_factor(at::randn({n, A, 2}, f64), at::randn({n, B, 2}, f64))},
      {grouped_outer_factor(at::randn({n, 2, A / 2, 1}, f64), at::randn({n, 2, B, 1}, f64))},
      {rows_factor(at::randint(A, {n, 5}, at::kLong), at::randn({n, 5, B}, f64), A), dense_factor(at::randn({n, A * B}, f64))},
      {},
  };
  for (const bool from_right : {false, true}) {
    LinearForm form;
    form.S = {from_right ? at::randn({B, B}, f64) : at::randn({A, A}, f64), from_right};
    for (const FactorList& G : lists) {
      for (const Tensor& q : {Tensor(), at::randn({n, A * B}, f64)}) {
        const Tensor y = written({G, q}).view({n, A, B});
        const Tensor expected = from_right ? at::matmul(y, form.S.S.t()) : at::matmul(form.S.S.t(), y);
        EXPECT_LE((written(pull(form, G, q)).view({n, A, B}) - expected).abs().max().item<double>(), 1e-13);
        EXPECT_TRUE(at::equal(written(pull({}, G, q)), y.view({n, A * B})));
      }
    }
  }
  LinearForm form;
  form.S.S = at::eye(A, f64);
  const FactorList outer = pull(form, lists[0], {}).factored;
  EXPECT_EQ(outer[0].kind, Factor::Kind::outer);
}

}  // namespace
}  // namespace pathkernel
