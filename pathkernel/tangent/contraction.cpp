#include <pathkernel/tangent/contraction.h>

#include <ATen/Context.h>
#include <ATen/core/dispatch/Dispatcher.h>
#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/bmm.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/zeros.h>

namespace pathkernel {
namespace {

using Kind = Factor::Kind;

int64_t groups(const Factor& f) { return f.left.size(1); }
int64_t outs(const Factor& f) { return f.left.size(2); }
int64_t ins(const Factor& f) { return f.right.size(2); }

/// One factor written out, [n, W].
Tensor written_out(const Factor& f) {
  const int64_t n = f.examples();
  switch (f.kind) {
    case Kind::dense:
      return f.left;
    case Kind::outer: {
      const int64_t G = groups(f), T = f.terms();
      const Tensor left = f.left.reshape({n * G, outs(f), T}), right = f.right.reshape({n * G, ins(f), T});
      if (T == 1) return (left * right.transpose(1, 2)).reshape({n, f.numbers});  // strided sides leave a strided product
      return at::bmm(left, right.transpose(1, 2)).view({n, f.numbers});
    }
    case Kind::rows: {
      const int64_t T = f.terms(), width = f.left.size(2), rows = f.numbers / width;
      const Tensor used = f.index.ge(0);
      const Tensor place = f.index.clamp_min(0) + at::arange(n, f.index.options()).unsqueeze(1) * rows;
      Tensor out = at::zeros({n * rows, width}, f.left.options());
      out.index_add_(0, place.reshape(-1), (f.left * used.unsqueeze(2).to(f.left.scalar_type())).reshape({n * T, width}));
      return out.view({n, f.numbers});
    }
  }
  return {};
}

// Numbers of operations (theory 4f), for n examples and m columns of dense Λ:
double cost_bilinear(const Factor& f, int64_t m) { return 2.0 * double(f.examples()) * double(m) * double(f.terms()) * double(f.numbers); }
double cost_materialised(const Factor& f, int64_t m) { return 2.0 * double(f.examples()) * double(f.numbers) * double(f.terms() + m); }
double cost_factored(const Factor& f, const Factor& h) {
  return 2.0 * double(f.examples()) * double(h.examples()) * double(f.terms()) * double(h.terms()) * double(outs(f) + ins(f));
}
/// Writing a number costs about as much as so many multiplications in a matrix product.
constexpr double cost_of_writing = 8;

/// a bᵀ for a tall a [M, K] and a narrow b [N, K]. oneDNN's product takes two thirds of MKL's time here (7680 × 400 × 64: 4.5 against
/// 6.5 ms); torch gives it a name of its own.
Tensor tall_product(const Tensor& a, const Tensor& b) {
  using Product = Tensor(const Tensor&, const Tensor&, const std::optional<Tensor>&, std::string_view, c10::List<std::optional<at::Scalar>>, std::optional<std::string_view>);
  static const auto product = c10::Dispatcher::singleton().findSchema({"mkldnn::_linear_pointwise", ""});
  constexpr int64_t large = 1 << 24;  // below it neither is slow
  if (!product || !a.is_cpu() || a.scalar_type() != at::kFloat || !at::globalContext().userEnabledMkldnn() || a.numel() * b.size(0) < large) return at::matmul(a, b.t());
  const at::NoGradGuard no_grad;
  return product->typed<Product>().call(a.contiguous(), b.contiguous(), std::nullopt, "none", c10::List<std::optional<at::Scalar>>(), "");
}

/// Σ_t δᵀ Λ a: one matrix product of Λ with all rows, then a sum against the other side. [n, m]
Tensor bilinear(const Factor& f, const Tensor& lambda) {
  const int64_t n = f.examples(), m = lambda.size(0), T = f.terms();
  const Tensor rows = f.right.squeeze(1).transpose(1, 2).reshape({n * T, ins(f)});
  const Tensor pushed = tall_product(lambda.view({m * outs(f), ins(f)}), rows).view({m, outs(f), n * T});
  const Tensor left = f.left.squeeze(1).permute({1, 0, 2}).reshape({outs(f), n * T});             // [out, nT]
  return sum_of_products(pushed, left).view({m, n, T}).sum(2).t();
}

bool prefers_bilinear(const Factor& f, int64_t m, Way way) {
  if (f.kind != Kind::outer || groups(f) != 1) return false;
  if (way != Way::automatic) return way == Way::bilinear;
  return cost_bilinear(f, m) <= cost_materialised(f, m) + cost_of_writing * double(f.examples()) * double(f.numbers);
}

/// Embedding rows against dense Λ: only the rows that were touched are read.
Tensor gathered(const Factor& f, const Tensor& lambda) {
  const int64_t n = f.examples(), T = f.terms(), width = f.left.size(2), m = lambda.size(0);
  const Tensor used = f.index.ge(0).to(f.left.scalar_type());
  const Tensor taken = lambda.view({m, -1, width}).index_select(1, f.index.clamp_min(0).reshape(-1));    // [m, nT, width]
  return sum_of_products(taken.transpose(1, 2).contiguous(), (f.left * used.unsqueeze(2)).reshape({n * T, width}).t().contiguous()).view({m, n, T}).sum(2).t();
}

Tensor inner(const Factor& f, const Factor& h, Way way) {
  const bool outer = f.kind == Kind::outer && h.kind == Kind::outer && groups(f) == 1 && groups(h) == 1 && outs(f) == outs(h);
  const double materialised = 2.0 * double(f.numbers) * (double(f.examples() * f.terms()) + double(h.examples() * h.terms()) + double(f.examples() * h.examples())) +
                              cost_of_writing * double(f.numbers) * double(f.examples() + h.examples());
  const bool factored = outer && (way == Way::automatic ? cost_factored(f, h) <= materialised : way == Way::factored);
  if (!factored) return at::matmul(written_out(f), written_out(h).t());
  // ⟨Σ_t l_t⊗r_t, Σ_u l'_u⊗r'_u⟩ = Σ_{t,u} ⟨l_t,l'_u⟩⟨r_t,r'_u⟩
  const int64_t n = f.examples(), m = h.examples(), T = f.terms(), U = h.terms();
  const auto rows = [](const Tensor& side) { return side.squeeze(1).transpose(1, 2).reshape({-1, side.size(2)}); };
  Tensor gram = at::matmul(rows(f.left), rows(h.left).t());
  gram.mul_(at::matmul(rows(f.right), rows(h.right).t()));
  return T == 1 && U == 1 ? gram : gram.view({n, T, m, U}).sum({1, 3});
}

}  // namespace

Tensor inner(const FactorList& g, const FactorList& h, int64_t n, int64_t m, Way way) {
  Tensor sum;
  for (const Factor& f : g) {
    for (const Factor& k : h) {
      const Tensor part = inner(f, k, way);
      sum = sum.defined() ? sum + part : part;
    }
  }
  // A matrix product sums the two halves of a Gram matrix in different orders; a + b is b + a to the last bit.
  if (sum.defined()) return &g == &h ? (sum + sum.t()) * 0.5 : sum;
  const FactorList& some = g.empty() ? h : g;  // for the device and dtype
  return at::zeros({n, m}, some.empty() ? at::TensorOptions() : some.front().left.options());
}

Tensor contract(const FactorList& g, const Tensor& lambda, int64_t n, Way way) {
  Tensor sum;
  for (const Factor& f : g) {
    Tensor part;
    if (f.kind == Kind::rows && way != Way::materialised) part = gathered(f, lambda);
    else part = prefers_bilinear(f, lambda.size(0), way) ? bilinear(f, lambda) : at::matmul(written_out(f), lambda.t());
    sum = sum.defined() ? sum.add_(part) : part;
  }
  return sum.defined() ? sum : at::zeros({n, lambda.size(0)}, lambda.options());
}

Tensor materialise(const FactorList& g, int64_t n, int64_t numbers, at::TensorOptions options) {
  Tensor sum;
  for (const Factor& f : g) {
    const Tensor part = written_out(f);
    sum = sum.defined() ? sum + part : part;
  }
  return sum.defined() ? sum : at::zeros({n, numbers}, options);
}

FactorList compacted(FactorList g) {
  for (Factor& f : g) {
    if (f.kind == Kind::outer && f.terms() > 1 && f.numbers <= f.terms() * groups(f) * (outs(f) + ins(f))) f = dense_factor(written_out(f));
  }
  return g;
}

Tensor sum_over_examples(const FactorList& g, int64_t numbers, at::TensorOptions options) {
  Tensor sum = at::zeros({numbers}, options);
  for (const Factor& f : g) {
    if (f.kind == Kind::outer && groups(f) == 1 && f.terms() == 1) {  // one matrix product over the examples
      sum.add_(at::matmul(f.left.reshape({-1, outs(f)}).t(), f.right.reshape({-1, ins(f)})).view(-1));
    } else {
      sum.add_(written_out(f).sum(0));
    }
  }
  return sum;
}

Tensor accumulate(Tensor& dense, double beta, const FactorList& g, double alpha, const Coefficient& d, const Tensor& along) {
  const Tensor diagonal = d.is_diagonal() ? d.diagonal.reshape(-1) : Tensor();
  const double scale = d.is_diagonal() ? alpha : alpha * d.number;
  if (g.empty()) {
    if (beta != 1) dense.mul_(beta);
    return along.defined() ? at::matmul(dense, along) : Tensor();
  }
  Tensor dots;
  for (size_t k = 0; k < g.size(); ++k) {
    const Factor& f = g[k];
    const double keep = k == 0 ? beta : 1;
    const Tensor asked = k + 1 == g.size() ? along : Tensor();
    if (f.kind == Kind::outer && groups(f) == 1 && f.terms() == 1) {
      dots = add_rank_one(dense, keep, f.left.reshape({f.examples(), outs(f)}), f.right.reshape({f.examples(), ins(f)}), scale, diagonal, asked);
    } else {
      dots = add_scaled(dense, keep, written_out(f), scale, diagonal, asked);
    }
  }
  return dots;
}

Tensor accumulate_with_decay(Tensor& p, Tensor& q, const FactorList& g, const DecayPass& pass) {
  if (g.size() == 1 && g[0].kind == Kind::outer && groups(g[0]) == 1 && g[0].terms() == 1) {
    const Factor& f = g[0];
    return add_rank_one_with_decay(p, q, f.left.reshape({f.examples(), outs(f)}), f.right.reshape({f.examples(), ins(f)}), pass);
  }
  const Tensor written = materialise(g, p.size(0), p.size(1), p.options());
  return add_rank_one_with_decay(p, q, at::ones({p.size(0), 1}, p.options()), written, pass);
}

}  // namespace pathkernel
