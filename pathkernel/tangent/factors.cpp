#include <pathkernel/tangent/factors.h>

namespace pathkernel {

Factor outer_factor(Tensor left, Tensor right) { return grouped_outer_factor(left.unsqueeze(1), right.unsqueeze(1)); }

Factor grouped_outer_factor(Tensor left, Tensor right) {
  const int64_t numbers = left.size(1) * left.size(2) * right.size(2);
  return {Factor::Kind::outer, std::move(left), std::move(right), {}, numbers};
}

Factor rows_factor(Tensor index, Tensor left, int64_t rows) {
  const int64_t numbers = rows * left.size(2);
  return {Factor::Kind::rows, std::move(left), {}, std::move(index), numbers};
}

Factor dense_factor(Tensor values) {
  Tensor flat = values.dim() == 1 ? values.unsqueeze(1) : values.reshape({values.size(0), -1});
  const int64_t numbers = flat.size(1);
  return {Factor::Kind::dense, std::move(flat), {}, {}, numbers};
}

void FactorSet::scale(double by) {
  if (by == 1) return;
  for (FactorList& list : parameters) {
    for (Factor& factor : list) factor.left = factor.left * by;
  }
}

void FactorSet::append(FactorSet other) {
  if (parameters.empty()) parameters.resize(other.parameters.size());
  examples = other.examples;
  for (size_t l = 0; l < other.parameters.size(); ++l) {
    for (Factor& factor : other.parameters[l]) parameters[l].push_back(std::move(factor));
  }
}

FactorSet FactorSet::to(at::ScalarType dtype) const {
  FactorSet out = *this;
  for (FactorList& list : out.parameters) {
    for (Factor& factor : list) {
      factor.left = factor.left.to(dtype);
      if (factor.right.defined()) factor.right = factor.right.to(dtype);
    }
  }
  return out;
}

int64_t FactorSet::bytes() const {
  int64_t total = 0;
  for (const FactorList& list : parameters) {
    for (const Factor& factor : list) {
      total += int64_t(factor.left.nbytes());
      if (factor.right.defined()) total += int64_t(factor.right.nbytes());
      if (factor.index.defined()) total += int64_t(factor.index.nbytes());
    }
  }
  return total;
}

}  // namespace pathkernel
