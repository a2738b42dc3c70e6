// Invariants 6 and 7: every way to take a product of per-example gradients gives the same numbers, and a Gram matrix is symmetric.

#include <ATen/Parallel.h>
#include <ATen/ops/linalg_eigvalsh.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/randint.h>
#include <ATen/ops/randn.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>
#include <pathkernel/tangent/contraction.h>

namespace pathkernel {
namespace {

constexpr int64_t out = 4, in = 6, W = out * in;

Tensor numbers(std::vector<int64_t> shape, at::ScalarType dtype) { return at::randn(shape, at::kDouble).to(dtype); }

/// Lists of one parameter of 24 numbers, of every kind, for n examples.
struct Lists {
  std::string name;
  std::function<FactorList(int64_t n, at::ScalarType)> make;
};

Factor outer(int64_t n, int64_t T, at::ScalarType d) { return outer_factor(numbers({n, out, T}, d), numbers({n, in, T}, d)); }
Factor grouped(int64_t n, int64_t T, at::ScalarType d) { return grouped_outer_factor(numbers({n, 2, 2, T}, d), numbers({n, 2, in, T}, d)); }
/// Embedding of `out` rows; row numbers repeat, and −1 (padding) is among them.
Factor embedding(int64_t n, int64_t T, at::ScalarType d) { return rows_factor(at::randint(-1, out, {n, T}, at::kLong), numbers({n, T, in}, d), out); }
Factor dense(int64_t n, at::ScalarType d) { return dense_factor(numbers({n, out, in}, d)); }

std::vector<Lists> kinds() {
  return {
      {"outer", [](int64_t n, auto d) { return FactorList{outer(n, 1, d)}; }},
      {"outer_many", [](int64_t n, auto d) { return FactorList{outer(n, 5, d)}; }},
      {"groups", [](int64_t n, auto d) { return FactorList{grouped(n, 1, d)}; }},
      {"groups_many", [](int64_t n, auto d) { return FactorList{grouped(n, 3, d)}; }},
      {"rows", [](int64_t n, auto d) { return FactorList{embedding(n, 7, d)}; }},
      {"dense", [](int64_t n, auto d) { return FactorList{dense(n, d)}; }},
      {"tied", [](int64_t n, auto d) { return FactorList{embedding(n, 5, d), outer(n, 3, d)}; }},
      {"mixed", [](int64_t n, auto d) { return FactorList{outer(n, 1, d), dense(n, d), outer(n, 4, d), grouped(n, 2, d), embedding(n, 2, d)}; }},
  };
}

/// The definition, element by element: nothing shared with the code under test.
Tensor by_definition(const FactorList& list, int64_t n) {
  Tensor sum = at::zeros({n, W}, at::kDouble);
  for (const Factor& f : list) {
    const Tensor left = f.left.to(at::kDouble), right = f.right.defined() ? f.right.to(at::kDouble) : f.right;
    for (int64_t i = 0; i < n; ++i) {
      Tensor g = sum[i];
      if (f.kind == Factor::Kind::dense) g.add_(left[i]);
      for (int64_t t = 0; t < f.terms() && f.kind == Factor::Kind::rows; ++t) {
        const int64_t row = f.index[i][t].item<int64_t>();
        if (row >= 0) g.view({out, in})[row].add_(left[i][t]);
      }
      if (f.kind != Factor::Kind::outer) continue;
      for (int64_t group = 0; group < left.size(1); ++group) {
        const Tensor part = at::matmul(left[i][group], right[i][group].t()).reshape(-1);
        g.narrow(0, group * part.numel(), part.numel()).add_(part);
      }
    }
  }
  return sum;
}

double tolerance(at::ScalarType dtype) { return dtype == at::kDouble ? 1e-13 : 1e-5; }

void expect_near(const Tensor& found, const Tensor& expected, at::ScalarType dtype, const char* what) {
  ASSERT_EQ(found.sizes(), expected.sizes()) << what;
  EXPECT_EQ(found.scalar_type(), dtype) << what;
  EXPECT_LE((found.to(at::kDouble) - expected).abs().max().item<double>(), tolerance(dtype) * expected.abs().max().item<double>()) << what;
}

const std::vector<std::pair<const char*, Way>> ways = {{"automatic", Way::automatic}, {"factored", Way::factored}, {"bilinear", Way::bilinear}, {"materialised", Way::materialised}};

class Contraction : public ::testing::TestWithParam<at::ScalarType> {
 protected:
  void SetUp() override {
    at::manual_seed(8);
    at::set_num_threads(1);  // so little work is done before a second thread wakes up
  }
  void TearDown() override { at::set_num_threads(threads_); }

 private:
  const int threads_ = at::get_num_threads();
};

TEST_P(Contraction, WrittenOutAsDefined) {
  for (const Lists& kind : kinds()) {
    SCOPED_TRACE(kind.name);
    const FactorList g = kind.make(3, GetParam());
    const auto options = at::TensorOptions().dtype(GetParam());
    expect_near(materialise(g, 3, W, options), by_definition(g, 3), GetParam(), "materialise");
    expect_near(sum_over_examples(g, W, options), by_definition(g, 3).sum(0), GetParam(), "sum_over_examples");
  }
}

TEST_P(Contraction, InnerInEveryWay) {
  for (const Lists& a : kinds()) {
    for (const Lists& b : kinds()) {
      const FactorList g = a.make(5, GetParam()), h = b.make(3, GetParam());
      const Tensor expected = at::matmul(by_definition(g, 5), by_definition(h, 3).t());
      for (const auto& [name, way] : ways) {
        SCOPED_TRACE(a.name + " with " + b.name);
        expect_near(inner(g, h, 5, 3, way), expected, GetParam(), name);
      }
    }
  }
}

TEST_P(Contraction, ContractInEveryWay) {
  for (const Lists& kind : kinds()) {
    for (const int64_t m : {1, 9}) {
      SCOPED_TRACE(kind.name);
      const FactorList g = kind.make(5, GetParam());
      const Tensor lambda = numbers({m, W}, GetParam());
      const Tensor expected = at::matmul(by_definition(g, 5), lambda.to(at::kDouble).t()), before = lambda.clone();
      for (const auto& [name, way] : ways) expect_near(contract(g, lambda, 5, way), expected, GetParam(), name);
      EXPECT_TRUE(lambda.equal(before));
    }
  }
}

TEST_P(Contraction, AccumulateAgainstDenseArithmetic) {
  const Tensor diagonal = numbers({out, in}, GetParam());
  for (const Lists& kind : kinds()) {
    SCOPED_TRACE(kind.name);
    const FactorList g = kind.make(5, GetParam());
    const Tensor start = numbers({5, W}, GetParam()), wide = start.to(at::kDouble), written = by_definition(g, 5);
    for (const double beta : {1.0, 0.9, 0.0}) {
      Tensor by_number = start.clone(), by_diagonal = start.clone(), by_nothing = start.clone();
      accumulate(by_number, beta, g, -2, {0.3, {}});
      expect_near(by_number, wide * beta - written * 0.6, GetParam(), "a number");
      accumulate(by_diagonal, beta, g, -2, {0.3, diagonal});
      expect_near(by_diagonal, wide * beta - written * diagonal.to(at::kDouble).view({1, W}) * 2, GetParam(), "a diagonal");
      accumulate(by_nothing, beta, {}, -2, {0.3, {}});
      expect_near(by_nothing, wide * beta, GetParam(), "no gradients");
    }
  }
}

TEST_P(Contraction, NothingTookPart) {
  const auto options = at::TensorOptions().dtype(GetParam());
  EXPECT_EQ(inner(FactorList{}, {}, 2, 3).abs().max().item<double>(), 0);
  EXPECT_TRUE(contract({}, numbers({3, W}, GetParam()), 2).equal(at::zeros({2, 3}, options)));
  EXPECT_TRUE(sum_over_examples({}, W, options).equal(at::zeros({W}, options)));
}

TEST_P(Contraction, StridedSides) {
  const FactorList g = {outer_factor(numbers({out, 5, 3}, GetParam()).transpose(0, 1), numbers({3, in, 5}, GetParam()).permute({2, 1, 0}))};
  const FactorList one = {outer_factor(numbers({out, 5, 1}, GetParam()).transpose(0, 1), numbers({1, in, 1}, GetParam()).expand({5, in, 1}))};
  for (const FactorList& list : {g, one}) {
    const Tensor expected = by_definition(list, 5), lambda = numbers({W, 4}, GetParam()).t();
    expect_near(materialise(list, 5, W, {}), expected, GetParam(), "materialise");
    for (const auto& [name, way] : ways) {
      expect_near(inner(list, list, 5, 5, way), at::matmul(expected, expected.t()), GetParam(), name);
      expect_near(contract(list, lambda.contiguous(), 5, way), at::matmul(expected, lambda.to(at::kDouble).t()), GetParam(), name);
    }
    Tensor dense = at::zeros({5, W}, at::TensorOptions().dtype(GetParam()));
    accumulate(dense, 0, list, 1, {1, {}});
    expect_near(dense, expected, GetParam(), "accumulate");
  }
}

/// Invariant 6, at a size where the matrix products run in blocks.
TEST_P(Contraction, GramIsSymmetricAndPositiveSemidefinite) {
  const int64_t n = 37;
  for (const Lists& kind : kinds()) {
    const FactorList g = kind.make(n, GetParam());
    for (const auto& [name, way] : ways) {
      SCOPED_TRACE(kind.name + " " + name);
      const Tensor gram = inner(g, g, n, n, way);
      EXPECT_TRUE(gram.equal(gram.t())) << "off by " << (gram - gram.t()).abs().max().item<double>() << " of " << gram.abs().max().item<double>();
      const Tensor values = at::linalg_eigvalsh(gram.to(at::kDouble));
      EXPECT_GE(values.min().item<double>(), -(GetParam() == at::kDouble ? 1e-14 : 1e-6) * double(n) * values.max().item<double>());
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Precisions, Contraction, ::testing::Values(at::kFloat, at::kDouble), [](const auto& info) { return info.param == at::kFloat ? "float32" : "float64"; });

}  // namespace
}  // namespace pathkernel
