#include <pathkernel/spectrum/numerics/asymptotic.h>

#include <boost/math/special_functions/gamma.hpp>

#include <algorithm>
#include <limits>

namespace pathkernel {

BuildingBlock::BuildingBlock(const Wide& nu, int64_t dim) : nu_(nu), dim_(dim) {
  // B_0, the mean of (1−u)^ν: Γ(−ν) cancels.
  using boost::math::tgamma;
  const Wide upper = nu + Wide(dim - 1) / 2, lower = nu + (dim - 1);
  value_ = gamma_of_half(dim) * pow(Wide(2), nu + (dim - 2)) * tgamma(upper) / (sqrt(Numbers<Wide>::pi()) * tgamma(lower));
}

void BuildingBlock::next() {
  value_ *= (k_ - nu_) / (k_ + nu_ + (dim_ - 1));
  ++k_;
}

AsymptoticSeries::AsymptoticSeries(const WideExpansion& expansion, int64_t dim) {
  for (const WideTerm& t : expansion.at_plus_one) terms_.push_back({t, false, BuildingBlock(t.nu, dim)});
  for (const WideTerm& t : expansion.at_minus_one) terms_.push_back({t, true, BuildingBlock(t.nu, dim)});
  std::stable_sort(terms_.begin(), terms_.end(), [](const Term& a, const Term& b) { return a.term.nu < b.term.nu; });
}

void AsymptoticSeries::next() {
  ++k_;
  for (Term& t : terms_) t.block.next();
}

void AsymptoticSeries::advance_to(int64_t k) {
  while (k_ < k) next();
}

size_t AsymptoticSeries::useful_terms() const {
  size_t best = 0;
  Wide smallest = std::numeric_limits<Wide>::infinity();
  for (size_t j = 0; j < terms_.size(); ++j) {
    const Wide size = abs(terms_[j].term.c * terms_[j].block.value());
    if (size < smallest && size != 0) {
      smallest = size;
      best = j + 1;
    }
  }
  return best;
}

AsymptoticSeries::Sum AsymptoticSeries::sum(size_t terms) const {
  Sum s{0, 0, 1};
  for (size_t j = 0; j < terms; ++j) {
    const Wide value = terms_[j].term.c * terms_[j].block.value();
    if (terms_[j].minus && k_ % 2 == 1) s.value -= value;
    else s.value += value;
    if (terms_[j].term.nu + 1 > terms_[terms - 1].term.nu) s.last = std::max<Wide>(s.last, abs(value));
  }
  if (s.value != 0) s.relative_error = static_cast<double>(Wide(s.last / abs(s.value)));
  return s;
}

Wide AsymptoticSeries::at_one(size_t terms) const {
  Wide total = 0;
  for (size_t j = 0; j < terms; ++j)
    if (terms_[j].minus) total += terms_[j].term.c * pow(Wide(2), terms_[j].term.nu);
  return total;
}

}  // namespace pathkernel
