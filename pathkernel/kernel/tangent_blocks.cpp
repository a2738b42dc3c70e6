#include <pathkernel/kernel/tangent_blocks.h>

#include <pathkernel/tangent/contraction.h>
#include <pathkernel/tangent/example_gradients.h>

#include <ATen/ops/matmul.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>

#include <algorithm>

namespace pathkernel {
namespace {

using Kind = Factor::Kind;

/// One use of a parameter by all outputs: the side that depends on the output, [n, v, T] for each of O, and the one that does not, [n, s, T].
struct Use {
  Tensors varying;
  Tensor shared;
  bool right_shared = false;  ///< shared is the factor's right side
  int64_t terms() const { return shared.size(2); }
  /// [O, nT, v]
  Tensor rows() const { return at::stack(varying).transpose(2, 3).reshape({int64_t(varying.size()), shared.size(0) * terms(), -1}); }
};

bool same_for_all(const std::vector<FactorList>& g, size_t k, Tensor Factor::*side) {
  const Tensor& first = g.front()[k].*side;
  return std::all_of(g.begin() + 1, g.end(), [&](const FactorList& list) {
    const Tensor& t = list[k].*side;
    return t.data_ptr() == first.data_ptr() ? t.strides() == first.strides() : t.equal(first);
  });
}

/// Use k with its two sides told apart; undefined sides where it is no outer product with a side in common.
Use use_of(const std::vector<FactorList>& g, size_t k) {
  const Factor& f = g.front()[k];
  if (f.kind != Kind::outer || f.left.size(1) != 1) return {};
  const bool right_shared = same_for_all(g, k, &Factor::right);
  if (!right_shared && !same_for_all(g, k, &Factor::left)) return {};
  Tensors varying;
  for (const FactorList& list : g) varying.push_back((right_shared ? list[k].left : list[k].right).squeeze(1));
  return {std::move(varying), (right_shared ? f.right : f.left).squeeze(1), right_shared};
}

/// Whether every output has the same uses.
bool aligned(const std::vector<FactorList>& g) {
  for (const FactorList& list : g) {
    if (list.size() != g.front().size()) return false;
    for (size_t k = 0; k < list.size(); ++k)
      if (list[k].kind != g.front()[k].kind || list[k].left.sizes() != g.front()[k].left.sizes()) return false;
  }
  return true;
}

/// Numbers of operations of a block of n by m inputs of one use, factored, and written out with the products (theory 4f); writing a number
/// costs as much as eight operations.
bool factors_win(const Use& g, const Use& h, int64_t rows, int64_t columns, int64_t numbers, TangentForm form) {
  const double O = double(g.varying.size()), n = double(rows), m = double(columns), T = double(g.terms()), U = double(h.terms());
  const double v = double(g.varying.front().size(1)), s = double(g.shared.size(1)), W = double(numbers), products = form == TangentForm::full ? O * O : O;
  const double factored = 2 * n * m * T * U * (products * v + s) + 8 * n * m * T * U * products;
  const double written = O * W * (2 * (n * T + m * U) + 8 * (n + m)) + 2 * products * n * m * W;
  return factored <= written;
}

/// [n, s, T] → [nT, s]
Tensor rows(const Tensor& side) { return side.transpose(1, 2).reshape({-1, side.size(1)}); }

/// Σ_{t,u} ⟨varying_t, varying'_u⟩ ⟨shared_t, shared'_u⟩
Tensor factored(const Use& g, const Use& h, TangentForm form) {
  const int64_t O = int64_t(g.varying.size()), n = g.shared.size(0), m = h.shared.size(0), T = g.terms(), U = h.terms();
  const Tensor shared = at::matmul(rows(g.shared), rows(h.shared).t());  // [nT, mU]
  const auto summed = [&](const Tensor& gram) { return T == 1 && U == 1 ? gram : gram.reshape({-1, n, T, m, U}).sum({2, 4}); };  // [k, n, m]
  const Tensor left = g.rows(), right = h.rows();
  if (form == TangentForm::full) {
    const Tensor gram = at::matmul(left.flatten(0, 1), right.flatten(0, 1).t()).view({O, n * T, O, m * U}).mul_(shared.view({1, n * T, 1, m * U}));
    const Tensor pairs = T == 1 && U == 1 ? gram : gram.view({O, n, T, O, m, U}).sum({2, 5});
    return pairs.permute({1, 3, 0, 2});  // [n, m, O, O]
  }
  if (form == TangentForm::diagonal) return summed(at::matmul(left, right.transpose(1, 2)).mul_(shared)).permute({1, 2, 0});
  const auto together = [](const Tensor& t) { return t.transpose(0, 1).reshape({t.size(1), -1}); };  // Σ_o ⟨δ_o, δ'_o⟩ is one product
  return summed(at::matmul(together(left), together(right).t()).mul_(shared)).view({n, m});
}

Tensor form_of(const Tensor& left, const Tensor& right, TangentForm form) {  // [O, n, W], [O, m, W]
  if (form == TangentForm::diagonal) return at::matmul(left, right.transpose(1, 2)).permute({1, 2, 0});
  const int64_t O = left.size(0), n = left.size(1), m = right.size(1);
  if (form == TangentForm::full) return at::matmul(left.reshape({O * n, -1}), right.reshape({O * m, -1}).t()).view({O, n, O, m}).permute({1, 3, 0, 2});
  const auto together = [](const Tensor& t) { return t.transpose(0, 1).reshape({t.size(1), -1}); };
  return at::matmul(together(left), together(right).t());
}

Tensor written_out(const std::vector<FactorList>& g, int64_t n, int64_t numbers, at::TensorOptions options) {
  Tensors all;
  for (const FactorList& list : g) all.push_back(materialise(list, n, numbers, options));
  return at::stack(all);
}

}  // namespace

Tensor tangent_block(const std::vector<FactorList>& g, const std::vector<FactorList>& h, int64_t n, int64_t m, TangentForm form) {
  const auto used = [](const std::vector<FactorList>& lists) { return std::find_if(lists.begin(), lists.end(), [](const FactorList& l) { return !l.empty(); }); };
  const auto some = used(g);
  if (some == g.end() || used(h) == h.end()) return {};
  const int64_t numbers = some->front().numbers;
  if (aligned(g) && aligned(h) && g.front().size() == h.front().size()) {
    std::vector<Use> left, right;
    bool wins = true;
    for (size_t k = 0; wins && k < g.front().size(); ++k) {
      left.push_back(use_of(g, k));
      right.push_back(&g == &h ? left.back() : use_of(h, k));
      const bool told_apart = left[k].shared.defined() && right[k].shared.defined(), same_side = left[k].right_shared == left[0].right_shared && right[k].right_shared == left[0].right_shared;
      wins = told_apart && same_side && factors_win(left[k], right[k], n, m, numbers, form);
    }
    if (wins) {
      Tensor sum;
      for (const Use& a : left)
        for (const Use& b : right) {
          const Tensor part = factored(a, b, form);
          sum = sum.defined() ? sum + part : part;
        }
      return sum;
    }
  }
  const at::TensorOptions options = some->front().left.options();
  const Tensor left = written_out(g, n, numbers, options);
  return form_of(left, &g == &h ? left : written_out(h, m, numbers, options), form);
}

double numbers_of_block(const std::vector<FactorList>& one, int64_t block, TangentForm form) {
  const auto some = std::find_if(one.begin(), one.end(), [](const FactorList& l) { return !l.empty(); });
  if (some == one.end()) return 0;
  const double O = double(one.size()), b = double(block), W = double(some->front().numbers);
  const double written = 2 * O * b * W + (form == TangentForm::full ? 2 * O * O : O) * b * b;
  if (!aligned(one)) return written;
  double most = 0;
  for (size_t k = 0; k < one.front().size(); ++k) {
    const Use use = use_of(one, k);
    if (!use.shared.defined() || !factors_win(use, use, block, block, some->front().numbers, form)) return written;
    const double pairs = b * b * double(use.terms()) * double(use.terms());
    most = std::max(most, pairs * (1 + (form == TangentForm::full ? 2 * O * O : form == TangentForm::diagonal ? 2 * O : 2)));
  }
  return most;
}

Tensor first_output(const Tensors& outputs) { return outputs.at(0).reshape({outputs.at(0).size(0), -1}); }

Jacobians::Jacobians(Model& model, const Tensors& inputs) : count(inputs.at(0).size(0)) {
  const std::vector<FactorSet> sets = example_gradients(model, inputs, {}, first_output);
  for (size_t l = 0; l < model.parameters().size(); ++l) {
    of.emplace_back();
    for (const FactorSet& set : sets) of.back().push_back(set.parameters[l]);
  }
}

Tensor tangent_product(const Jacobians& g, const Jacobians& h, TangentForm form, at::TensorOptions options) {
  const int64_t n = g.count, m = h.count, O = int64_t(g.of.front().size());
  Tensor sum = at::zeros(form == TangentForm::full ? std::vector<int64_t>{n, m, O, O} : form == TangentForm::diagonal ? std::vector<int64_t>{n, m, O} : std::vector<int64_t>{n, m}, options);
  for (size_t l = 0; l < g.of.size(); ++l) {
    const Tensor part = tangent_block(g.of[l], &g == &h ? g.of[l] : h.of[l], n, m, form);
    if (part.defined()) sum.add_(part);
  }
  return sum;
}

}  // namespace pathkernel
