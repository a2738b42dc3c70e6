#include <pathkernel/kernel/tangent_blocks.h>

#include <pathkernel/tangent/contraction.h>
#include <pathkernel/tangent/example_gradients.h>

#include <ATen/ops/bmm.h>
#include <ATen/ops/matmul.h>
#include <ATen/ops/stack.h>
#include <ATen/ops/zeros.h>

#include <algorithm>
#include <map>

namespace pathkernel {
namespace {

using Kind = Factor::Kind;

/// Puts the outputs' sides together; sides that were one tensor for one parameter and for another become one again.
class Stacks {
 public:
  /// @param sides  [n, v, T] each; of tensors that live as long as this does, which tells them by their places
  const Tensor& of(const Tensors& sides) {
    std::vector<const void*> places;
    for (const Tensor& t : sides) places.push_back(t.const_data_ptr());
    for (const Tensor& known : made_[places])
      if (known.sizes().slice(1) == sides.front().sizes()) return known;
    return made_[places].emplace_back(stacked(sides));
  }

 private:
  /// A view where they lie one as far behind the other in one tensor.
  static Tensor stacked(const Tensors& sides) {
    const Tensor& first = sides.front();
    const int64_t step = sides.size() > 1 ? sides[1].storage_offset() - first.storage_offset() : 0;
    for (size_t k = 0; k < sides.size(); ++k)
      if (step <= 0 || !sides[k].is_alias_of(first) || sides[k].strides() != first.strides() || sides[k].storage_offset() != first.storage_offset() + int64_t(k) * step) return at::stack(sides);
    std::vector<int64_t> sizes = first.sizes().vec(), strides = first.strides().vec();
    sizes.insert(sizes.begin(), int64_t(sides.size()));
    strides.insert(strides.begin(), step);
    return first.as_strided(sizes, strides);
  }

  std::map<std::vector<const void*>, Tensors> made_;
};

bool same_for_all(const std::vector<FactorList>& g, size_t k, Tensor Factor::*side) {
  const Tensor& first = g.front()[k].*side;
  return std::all_of(g.begin() + 1, g.end(), [&](const FactorList& list) {
    const Tensor& t = list[k].*side;
    return t.data_ptr() == first.data_ptr() ? t.strides() == first.strides() : t.equal(first);
  });
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

/// The uses with their two sides told apart; nothing where one of them is no outer product with a side in common, or not on the side where others have it.
std::vector<OutputGradients> told_apart(const std::vector<FactorList>& g, Stacks& stacks) {
  std::vector<OutputGradients> uses;
  for (size_t k = 0; k < g.front().size(); ++k) {
    const Factor& f = g.front()[k];
    if (f.kind != Kind::outer || f.left.size(1) != 1) return {};
    const bool right = same_for_all(g, k, &Factor::right);
    if ((!right && !same_for_all(g, k, &Factor::left)) || (k > 0 && right != uses.front().shared_right)) return {};
    Tensors varying;
    for (const FactorList& list : g) varying.push_back((right ? list[k].left : list[k].right).squeeze(1));
    uses.push_back({stacks.of(varying), (right ? f.right : f.left).squeeze(1), right});
  }
  return uses;
}

/// One parameter's.  @param g  one list for each output
ParameterGradients together(const std::vector<FactorList>& g, int64_t n, Stacks& stacks) {
  const auto some = std::find_if(g.begin(), g.end(), [](const FactorList& l) { return !l.empty(); });
  if (some == g.end()) return {};
  ParameterGradients out{some->front().numbers, {}};
  if (aligned(g)) out.uses = told_apart(g, stacks);
  if (!out.uses.empty()) return out;
  Tensors written;
  for (const FactorList& list : g) written.push_back(materialise(list, n, out.numbers, some->front().left.options()).unsqueeze(2));
  const bool found_so = std::all_of(g.begin(), g.end(), [](const FactorList& list) { return list.size() == 1 && list.front().kind == Kind::dense; });
  out.uses.push_back({found_so ? stacks.of(written) : at::stack(written), {}, false});
  return out;
}

/// [O, n, W, 1]
OutputGradients written_out(const ParameterGradients& p) {
  if (!p.uses.front().shared.defined()) return p.uses.front();
  Tensor sum;
  for (const OutputGradients& use : p.uses) {
    const int64_t O = use.varying.size(0), n = use.varying.size(1), v = use.varying.size(2);
    const Tensor varying = use.varying.transpose(0, 1).reshape({n, O * v, -1}), shared = use.shared.transpose(1, 2);
    const Tensor products = at::bmm(varying, shared).view({n, O, v, -1});  // [n, O, v, s]
    const Tensor part = (use.shared_right ? products : products.transpose(2, 3)).transpose(0, 1).reshape({O, n, p.numbers, 1});
    sum = sum.defined() ? sum + part : part;
  }
  return {sum, {}, false};
}

/// Numbers of operations of a block of n by m inputs of one use, factored, and written out with the products (theory 4f); writing a number
/// costs as much as eight operations.
bool factors_win(const OutputGradients& g, const OutputGradients& h, int64_t rows, int64_t columns, int64_t numbers, int64_t outputs, TangentForm form) {
  const double O = double(outputs), n = double(rows), m = double(columns), T = double(g.terms()), U = double(h.terms());
  const double v = double(g.varying.size(2)), s = double(g.shared.size(1)), W = double(numbers), products = form == TangentForm::full ? O * O : O;
  const double factored = 2 * n * m * T * U * (products * v + s) + 8 * n * m * T * U * products;
  const double written = O * W * (2 * (n * T + m * U) + 8 * (n + m)) + 2 * products * n * m * W;
  return factored <= written;
}

bool both_factored(const ParameterGradients& g, const ParameterGradients& h, int64_t outputs, TangentForm form) {
  const OutputGradients &a = g.uses.front(), &b = h.uses.front();
  if (!a.shared.defined() || !b.shared.defined() || a.shared_right != b.shared_right) return false;
  for (const OutputGradients& x : g.uses)
    for (const OutputGradients& y : h.uses)
      if (!factors_win(x, y, x.shared.size(0), y.shared.size(0), g.numbers, outputs, form)) return false;
  return true;
}

/// [.., n, s, T] → [.., nT, s]
Tensor rows(const Tensor& side) { return side.transpose(-1, -2).flatten(-3, -2); }

/// Σ over parameters, one pair of varying sides after the other, by output: [O, n, O, m], [O, n, m] or [n, m].
class Products {
 public:
  Products(int64_t outputs, int64_t n, int64_t m, TangentForm form, at::TensorOptions options) : O_(outputs), n_(n), m_(m), form_(form) {
    sum_ = at::zeros(form == TangentForm::full ? std::vector<int64_t>{O_, n, O_, m} : form == TangentForm::diagonal ? std::vector<int64_t>{O_, n, m} : std::vector<int64_t>{n, m}, options);
  }

  void add(const ParameterGradients& g, const ParameterGradients& h) {
    if (g.uses.empty() || h.uses.empty()) return;
    if (!both_factored(g, h, O_, form_)) return add(written_out(g), &g == &h ? OutputGradients() : written_out(h));
    for (const OutputGradients& a : g.uses)
      for (const OutputGradients& b : h.uses) add(a, b);
  }

  /// [n, m, O, O], [n, m, O] or [n, m]
  Tensor result() {
    finish();
    return form_ == TangentForm::full ? sum_.permute({1, 3, 0, 2}) : form_ == TangentForm::diagonal ? sum_.permute({1, 2, 0}) : sum_;
  }

 private:
  /// @param h  with undefined sides: g
  void add(const OutputGradients& g, const OutputGradients& h) {
    const OutputGradients& other = h.varying.defined() ? h : g;
    const auto same = [](const Tensor& a, const Tensor& b) { return b.defined() && a.is_same(b); };
    if (!same(g.varying, left_) || !same(other.varying, right_)) {
      finish();
      left_ = g.varying, right_ = other.varying;
    }
    if (!g.shared.defined()) {
      ones_ += 1;
      return;
    }
    const Tensor gram = at::matmul(rows(g.shared), rows(other.shared).t());  // [nT, mU]
    coefficients_ = coefficients_.defined() ? coefficients_ + gram : gram;
  }

  /// Σ_{t,u} ⟨varying_t, varying'_u⟩ (⟨shared_t, shared'_u⟩ + 1s), of the pair that was gathered.
  void finish() {
    if (!left_.defined()) return;
    const int64_t T = left_.size(3), U = right_.size(3);
    const Tensor gram = varying_gram(T, U);
    if (!coefficients_.defined()) {
      sum_.add_(gram, ones_);
    } else {
      if (ones_ > 0) coefficients_.add_(ones_);
      const Tensor shared = form_ == TangentForm::full ? coefficients_.view({1, n_ * T, 1, m_ * U}) : coefficients_;
      if (T == 1 && U == 1) sum_.addcmul_(gram, shared);
      else sum_.add_(over_terms(gram * shared, T, U));
    }
    left_ = right_ = coefficients_ = Tensor();
    ones_ = 0;
  }

  /// [O, nT, O, mU], [O, nT, mU] or [nT, mU]
  Tensor varying_gram(int64_t T, int64_t U) const {
    const Tensor left = rows(left_), right = left_.is_same(right_) ? left : rows(right_);  // [O, nT, v]
    if (form_ == TangentForm::full) return at::matmul(left.flatten(0, 1), right.flatten(0, 1).t()).view({O_, n_ * T, O_, m_ * U});
    if (form_ == TangentForm::diagonal) return at::matmul(left, right.transpose(1, 2));
    const auto together = [](const Tensor& t) { return t.transpose(0, 1).flatten(1); };  // Σ_o ⟨δ_o, δ'_o⟩ is one product
    return at::matmul(together(left), together(right).t());
  }

  Tensor over_terms(const Tensor& gram, int64_t T, int64_t U) const {
    if (form_ == TangentForm::full) return gram.view({O_, n_, T, O_, m_, U}).sum({2, 5});
    if (form_ == TangentForm::diagonal) return gram.view({O_, n_, T, m_, U}).sum({2, 4});
    return gram.view({n_, T, m_, U}).sum({1, 3});
  }

  int64_t O_, n_, m_;
  TangentForm form_;
  Tensor sum_;
  Tensor left_, right_;      ///< the varying sides whose products are gathered
  Tensor coefficients_;      ///< Σ of the Gram matrices of the shared sides that go with them
  double ones_ = 0;          ///< uses without a shared side
};

}  // namespace

std::vector<ParameterGradients> of_all_outputs(const std::vector<FactorSet>& sets, size_t parameters) {
  std::vector<ParameterGradients> all;
  Stacks stacks;
  for (size_t l = 0; l < parameters; ++l) {
    std::vector<FactorList> lists;
    for (const FactorSet& set : sets) lists.push_back(set.parameters[l]);
    all.push_back(together(lists, sets.front().examples, stacks));
  }
  return all;
}

double numbers_of_block(const ParameterGradients& sample, int64_t block, int64_t outputs, TangentForm form) {
  if (sample.uses.empty()) return 0;
  const double O = double(outputs), b = double(block), W = double(sample.numbers);
  const double written = 2 * O * b * W + (form == TangentForm::full ? 2 * O * O : O) * b * b;
  double most = 0;
  for (const OutputGradients& use : sample.uses) {
    if (!use.shared.defined() || !factors_win(use, use, block, block, sample.numbers, outputs, form)) return written;
    const double pairs = b * b * double(use.terms()) * double(use.terms());
    most = std::max(most, pairs * (1 + (form == TangentForm::full ? 2 * O * O : form == TangentForm::diagonal ? 2 * O : 2)));
  }
  return most;
}

Tensor first_output(const Tensors& outputs) { return outputs.at(0).reshape({outputs.at(0).size(0), -1}); }

Jacobians::Jacobians(Model& model, const Tensors& inputs) : count(inputs.at(0).size(0)) {
  const std::vector<FactorSet> sets = example_gradients(model, inputs, {}, first_output);
  outputs = int64_t(sets.size());
  of = of_all_outputs(sets, model.parameters().size());
}

Tensor tangent_product(const Jacobians& g, const Jacobians& h, TangentForm form, at::TensorOptions options) {
  Products products(g.outputs, g.count, h.count, form, options);
  for (size_t l = 0; l < g.of.size(); ++l) products.add(g.of[l], &g == &h ? g.of[l] : h.of[l]);
  return products.result();
}

}  // namespace pathkernel
