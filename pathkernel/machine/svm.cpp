#include <pathkernel/machine/svm.h>

#include <pathkernel/core/error.h>

#include <ATen/Parallel.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/from_blob.h>
#include <ATen/ops/zeros.h>
#include <ATen/ops/zeros_like.h>
#include <fmt/format.h>
#include <libsvm/svm.h>

#include <cstdlib>
#include <memory>
#include <mutex>
#include <vector>

namespace pathkernel {
namespace {

constexpr const char* who = "svm";

struct FreeModel { void operator()(svm_model* model) const { svm_free_and_destroy_model(&model); } };
using ModelPtr = std::unique_ptr<svm_model, FreeModel>;

/// Rows of numbers as LIBSVM wants precomputed kernels: a row's number (counted from 1), then its entries. No end mark: it reads entries by number.
class Nodes {
 public:
  /// @param rows  [r, c]
  explicit Nodes(const Tensor& rows) : Nodes(rows, at::arange(rows.size(0), at::kLong), at::arange(rows.size(1), at::kLong)) {}
  /// Row i is `order`'s i-th row, its entries in the order of `columns`.
  Nodes(const Tensor& rows, const Tensor& order, const Tensor& columns) : width_(columns.size(0) + 1), nodes_(new svm_node[static_cast<size_t>(order.size(0) * width_)]) {
    const Tensor values = rows.contiguous();
    const int64_t *from = order.const_data_ptr<int64_t>(), *at = columns.const_data_ptr<int64_t>();
    for (int64_t i = 0; i < order.size(0); ++i) rows_.push_back(nodes_.get() + i * width_);
    at::parallel_for(0, order.size(0), 64, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const double* value = values.const_data_ptr<double>() + from[i] * values.size(1);
        svm_node* row = rows_[static_cast<size_t>(i)];
        row[0] = {0, static_cast<double>(i + 1)};
        for (int64_t j = 1; j < width_; ++j) row[j] = {static_cast<int>(j), value[at[j - 1]]};
      }
    });
  }
  svm_node** rows() { return rows_.data(); }

 private:
  int64_t width_;
  std::unique_ptr<svm_node[]> nodes_;
  std::vector<svm_node*> rows_;
};

svm_parameter parameters(const SvmOptions& options) {
  svm_parameter p{};
  p.svm_type = C_SVC;
  p.kernel_type = PRECOMPUTED;
  p.cache_size = static_cast<double>(options.cache) / (1 << 20);
  p.eps = options.tolerance;
  p.C = options.C;
  p.shrinking = 1;
  p.probability = options.probability ? 1 : 0;
  return p;
}

Tensor doubles(const double* values, int64_t count) { return at::from_blob(const_cast<double*>(values), {count}, at::kDouble).clone(); }

Svm read_model(const svm_model& model, const Tensor& order) {
  const int64_t C = model.nr_class, pairs = C * (C - 1) / 2, s = model.l;
  Svm svm;
  svm.examples = order.size(0);
  svm.classes = C;
  svm.per_class = at::from_blob(model.nSV, {C}, at::kInt).to(at::kLong);
  svm.support = order.index_select(0, at::from_blob(model.sv_indices, {s}, at::kInt).to(at::kLong) - 1);
  svm.coefficients = at::empty({C - 1, s}, at::kDouble);
  for (int64_t c = 0; c + 1 < C; ++c) svm.coefficients[c].copy_(doubles(model.sv_coef[c], s));
  svm.rho = doubles(model.rho, pairs);
  if (model.probA != nullptr && model.probB != nullptr) {
    svm.sigmoids = at::empty({2, pairs}, at::kDouble);
    svm.sigmoids[0].copy_(doubles(model.probA, pairs));
    svm.sigmoids[1].copy_(doubles(model.probB, pairs));
  }
  return svm;
}

/// LIBSVM keeps its printer and its random numbers in global variables.
std::mutex& libsvm_lock() {
  static std::mutex lock;
  return lock;
}

/// What svm_train() finds for a pair of classes: y_i α_i of its examples, those of the first class and then those of the second, and ρ.
struct Pair {
  std::vector<double> coefficients;
  double rho = 0;
};

Pair train_pair(std::vector<svm_node*> first, const std::vector<svm_node*>& second, const svm_parameter& settings) {
  std::vector<double> y(first.size(), 1);
  y.resize(first.size() + second.size(), -1);
  first.insert(first.end(), second.begin(), second.end());
  svm_problem problem{static_cast<int>(first.size()), y.data(), first.data()};
  const ModelPtr model(svm_train(&problem, &settings));
  Pair pair{std::vector<double>(first.size()), model->rho[0]};
  for (int k = 0; k < model->l; ++k) pair.coefficients[static_cast<size_t>(model->sv_indices[k] - 1)] = model->sv_coef[0][k];
  return pair;
}

/// As LIBSVM does it, but with as many pairs at a time as there are threads.
/// @param rows  the examples' nodes in the order of their classes   @param begin  where each class begins in them, and their end
Svm train_pairs(svm_node** rows, const std::vector<int64_t>& begin, const Tensor& order, const svm_parameter& settings) {
  const auto C = static_cast<int64_t>(begin.size()) - 1, n = begin.back();
  std::vector<std::pair<int64_t, int64_t>> classes;
  for (int64_t i = 0; i < C; ++i)
    for (int64_t j = i + 1; j < C; ++j) classes.emplace_back(i, j);
  const auto rows_of = [&](int64_t c) { return std::vector<svm_node*>(rows + begin[static_cast<size_t>(c)], rows + begin[static_cast<size_t>(c) + 1]); };
  std::vector<Pair> pairs(classes.size());
  at::parallel_for(0, static_cast<int64_t>(classes.size()), 1, [&](int64_t from, int64_t until) {
    for (auto p = static_cast<size_t>(from); p < static_cast<size_t>(until); ++p) pairs[p] = train_pair(rows_of(classes[p].first), rows_of(classes[p].second), settings);
  });
  const Tensor coefficients = at::zeros({C - 1, n}, at::kDouble), rho = at::empty({static_cast<int64_t>(pairs.size())}, at::kDouble);
  for (size_t p = 0; p < pairs.size(); ++p) {
    const auto [i, j] = classes[p];
    const int64_t first = begin[static_cast<size_t>(i)], second = begin[static_cast<size_t>(j)], count = begin[static_cast<size_t>(i) + 1] - first;
    const Tensor found = doubles(pairs[p].coefficients.data(), static_cast<int64_t>(pairs[p].coefficients.size()));
    coefficients[j - 1].narrow(0, first, count).copy_(found.narrow(0, 0, count));
    coefficients[i].narrow(0, second, found.size(0) - count).copy_(found.narrow(0, count, found.size(0) - count));
    rho[static_cast<int64_t>(p)].fill_(pairs[p].rho);
  }
  const Tensor used = coefficients.ne(0).any(0), support = used.nonzero().squeeze(1);
  Svm svm;
  svm.examples = n;
  svm.classes = C;
  svm.per_class = at::zeros({C}, at::kLong);
  for (int64_t c = 0; c < C; ++c) svm.per_class[c].copy_(used.narrow(0, begin[static_cast<size_t>(c)], begin[static_cast<size_t>(c) + 1] - begin[static_cast<size_t>(c)]).sum());
  svm.support = order.index_select(0, support);
  svm.coefficients = coefficients.index_select(1, support);
  svm.rho = rho;
  return svm;
}

/// y_i α_i of every support vector in every pair, [s, P].
Tensor pair_weights(const Svm& svm) {
  const Tensor weights = at::zeros({svm.support.size(0), svm.rho.size(0)}, at::kDouble);
  std::vector<int64_t> begin{0};
  for (int64_t c = 0; c < svm.classes; ++c) begin.push_back(begin.back() + svm.per_class[c].item<int64_t>());
  int64_t p = 0;
  for (int64_t i = 0; i < svm.classes; ++i)
    for (int64_t j = i + 1; j < svm.classes; ++j, ++p) {
      const auto put = [&](int64_t own, int64_t row) {
        const auto at = static_cast<size_t>(own);
        weights.select(1, p).narrow(0, begin[at], begin[at + 1] - begin[at]).copy_(svm.coefficients[row].narrow(0, begin[at], begin[at + 1] - begin[at]));
      };
      put(i, j - 1);
      put(j, i);
    }
  return weights;
}

Tensor support_columns(const Svm& svm, const Tensor& K_x) { return query_gram(K_x, svm.examples, who).index_select(1, svm.support); }

/// Of pair p: ½‖f‖² + CΣmax(0, 1 − yf) − (Σα − ½‖f‖²), over the examples of its two classes.
Tensor duality_gaps(const Svm& svm, const Tensor& K, const Tensor& labels, double C) {
  const Tensor weights = pair_weights(svm), f = K.mm(at::zeros({K.size(0), weights.size(1)}, at::kDouble).index_copy_(0, svm.support, weights));  // without b
  const Tensor gaps = at::empty({svm.rho.size(0)}, at::kDouble);
  int64_t p = 0;
  for (int64_t i = 0; i < svm.classes; ++i)
    for (int64_t j = i + 1; j < svm.classes; ++j, ++p) {
      const Tensor w = weights.select(1, p), values = f.select(1, p);
      const double norm = w.dot(values.index_select(0, svm.support)).item<double>();
      const Tensor y = labels.eq(i).to(at::kDouble) - labels.eq(j).to(at::kDouble);  // 0 for other classes
      const double hinge = ((1 - y * (values - svm.rho[p])).clamp_min(0) * y.abs()).sum().item<double>();
      gaps[p].fill_(norm + C * hinge - w.abs().sum().item<double>());
    }
  return gaps;
}

}  // namespace

Tensor labels_of(const Tensor& labels, int64_t n, int64_t classes, const std::string& who) {
  if (!labels.defined() || labels.dim() != 1 || labels.size(0) != n || labels.scalar_type() != at::kLong)
    throw InvalidInput(fmt::format("{}: labels are {}, expected int64 [{}]: one for each row of the Gram matrix", who, describe(labels), n));
  const int64_t smallest = labels.min().item<int64_t>(), largest = labels.max().item<int64_t>();
  if (smallest < 0 || largest >= classes)
    throw InvalidInput(fmt::format("{}: labels go from {} to {}, but there are {} classes, counted from 0", who, smallest, largest, classes));
  if (smallest == largest)
    throw InvalidInput(fmt::format("{}: all examples are of class {}; at least two classes are needed", who, smallest));
  return labels.cpu().contiguous();
}

Tensor Svm::decisions(const Tensor& K_x) const { return support_columns(*this, K_x).mm(pair_weights(*this)) - rho; }

Tensor Svm::predict(const Tensor& K_x) const {
  const Tensor decided = decisions(K_x), votes = at::zeros({decided.size(0), classes}, at::kLong);
  int64_t p = 0;
  for (int64_t i = 0; i < classes; ++i)
    for (int64_t j = i + 1; j < classes; ++j, ++p) {
      const Tensor first = decided.select(1, p).gt(0).to(at::kLong);
      votes.select(1, i) += first;
      votes.select(1, j) += 1 - first;
    }
  // Of equal votes the first class, as in LIBSVM; argmax promises no order.
  return (votes * classes - at::arange(classes, at::kLong)).argmax(1);
}

Tensor Svm::probabilities(const Tensor& K_x) const {
  if (!sigmoids.defined())
    throw InvalidInput("svm: it was fitted without probabilities; fit it with SvmOptions::probability (--probability)");
  const Tensor k = support_columns(*this, K_x);
  const auto s = static_cast<int>(support.size(0));
  std::vector<svm_node> serial(static_cast<size_t>(s));
  std::vector<svm_node*> vectors;
  for (int i = 0; i < s; ++i) {
    serial[static_cast<size_t>(i)] = {0, static_cast<double>(i + 1)};
    vectors.push_back(&serial[static_cast<size_t>(i)]);
  }
  const Tensor coefficient_rows = coefficients.contiguous(), offsets = rho.contiguous(), ab = sigmoids.contiguous();
  const Tensor counts = per_class.to(at::kInt).contiguous(), names = at::arange(classes, at::kInt);
  std::vector<double*> rows;
  for (int64_t c = 0; c + 1 < classes; ++c) rows.push_back(coefficient_rows[c].data_ptr<double>());
  svm_model model{};
  model.param = parameters({.probability = true});
  model.nr_class = static_cast<int>(classes);
  model.l = s;
  model.SV = vectors.data();
  model.sv_coef = rows.data();
  model.rho = offsets.data_ptr<double>();
  model.probA = ab[0].data_ptr<double>();
  model.probB = ab[1].data_ptr<double>();
  model.label = names.data_ptr<int>();
  model.nSV = counts.data_ptr<int>();
  const Tensor result = at::empty({k.size(0), classes}, at::kDouble);
  Nodes queries(k);
  for (int64_t q = 0; q < k.size(0); ++q) svm_predict_probability(&model, queries.rows()[q], result[q].data_ptr<double>());
  return result;
}

Svm Svm::compact() const {
  Svm svm = *this;
  svm.examples = support.size(0);
  svm.support = at::arange(svm.examples, at::kLong);
  return svm;
}

Svm fit_svm(const Tensor& K, const Tensor& labels, int64_t classes, const SvmOptions& options) {
  const Tensor gram = training_gram(K, who);
  const int64_t n = gram.size(0);
  require_memory(3, n, options.machine.memory, who);
  const Tensor y = labels_of(labels, n, classes, who);
  const Tensor counts = at::zeros({classes}, at::kLong).index_add(0, y, at::zeros_like(y) + 1);
  if (counts.min().item<int64_t>() == 0)
    throw InvalidInput(fmt::format("{}: of {} classes only some occur among the examples; leave the others out", who, classes));
  // In the order of the classes, so that LIBSVM numbers them as they are.
  const Tensor order = y.argsort(/*stable=*/true), sorted = y.index_select(0, order).to(at::kDouble);
  Nodes nodes(gram, order, order);
  svm_problem problem{static_cast<int>(n), sorted.data_ptr<double>(), nodes.rows()};
  const svm_parameter settings = parameters(options);
  const std::lock_guard guard(libsvm_lock());
  svm_set_print_string_function([](const char*) {});
  if (const char* refusal = svm_check_parameter(&problem, &settings)) throw InvalidInput(fmt::format("{}: LIBSVM refuses the settings (C {:g}, tolerance {:g}): {}",
                                                                                                     who, options.C, options.tolerance, refusal));
  Svm svm;
  if (options.probability) {  // by cross-validation with the one generator of random numbers that LIBSVM has
    std::srand(static_cast<unsigned>(options.seed) + 1);
    const ModelPtr model(svm_train(&problem, &settings));
    svm = read_model(*model, order);
  } else {
    std::vector<int64_t> begin{0};
    for (int64_t c = 0; c < classes; ++c) begin.push_back(begin.back() + counts[c].item<int64_t>());
    svm = train_pairs(nodes.rows(), begin, order, settings);
  }
  svm.gap = duality_gaps(svm, gram, y, options.C);
  return svm;
}

}  // namespace pathkernel
