// A support vector machine on a precomputed Gram matrix, beside LIBSVM's own svm_train on the same matrix in its own form: what is timed is the fit, from the numbers to the machine.
//   svm_bench [n] [classes] [threads]
#include <ATen/Parallel.h>
#include <ATen/ops/arange.h>
#include <ATen/ops/randn.h>
#include <fmt/format.h>
#include <libsvm/svm.h>
#include <pathkernel/core/allocation.h>
#include <pathkernel/kernel/gram.h>
#include <pathkernel/machine/svm.h>

#include <algorithm>
#include <thread>
#include <vector>

#include "timing.h"

using namespace pathkernel;

namespace {

/// LIBSVM's form of the matrix, and its machine.
int by_libsvm(const Tensor& K, Tensor y, double C) {
  const int64_t n = K.size(0);
  const double* numbers = K.const_data_ptr<double>();
  std::vector<svm_node> nodes(static_cast<size_t>(n * (n + 2)));
  std::vector<svm_node*> rows;
  for (int64_t i = 0; i < n; ++i) {
    svm_node* row = nodes.data() + i * (n + 2);
    row[0] = {0, static_cast<double>(i + 1)};
    for (int64_t j = 0; j < n; ++j) row[j + 1] = {static_cast<int>(j + 1), numbers[i * n + j]};
    row[n + 1] = {-1, 0};
    rows.push_back(row);
  }
  svm_problem problem{static_cast<int>(n), y.data_ptr<double>(), rows.data()};
  svm_parameter p{};
  p.kernel_type = PRECOMPUTED;
  p.cache_size = 200;
  p.eps = 1e-3;
  p.C = C;
  p.shrinking = 1;
  svm_model* model = svm_train(&problem, &p);
  const int vectors = model->l;
  svm_free_and_destroy_model(&model);
  return vectors;
}

}  // namespace

int main(int argc, char** argv) {
  keep_freed_memory();
  const int64_t n = argc > 1 ? std::stoll(argv[1]) : 3000, classes = argc > 2 ? std::stoll(argv[2]) : 10;
  at::set_num_threads(argc > 3 ? std::stoi(argv[3]) : static_cast<int>(std::thread::hardware_concurrency()));
  svm_set_print_string_function([](const char*) {});
  const Tensor x = at::randn({n, 20}, at::kDouble), labels = x.narrow(1, 0, classes).argmax(1);
  const Tensor K = gram_matrix(*parse_kernel("rbf:3"), x);
  constexpr double C = 10;
  double ours = 1e300, theirs = 1e300;
  int64_t vectors = 0, own = 0;
  for (int repeat = 0; repeat < 3; ++repeat) {  // in turn; the best of three, as the machine's noise only adds
    theirs = std::min(theirs, seconds([&] { own = by_libsvm(K, labels.to(at::kDouble), C); }));
    ours = std::min(ours, seconds([&] { vectors = fit_svm(K, labels, classes, {.C = C}).support.size(0); }));
  }
  fmt::print("SVM, precomputed, n = {}, {} classes, C = {}, {} threads: pathkernel {:.2f} s ({} support vectors), LIBSVM {:.2f} s ({}): {:.2f} of its time (at most 1 wanted)\n", n, classes, C, at::get_num_threads(), ours,
             vectors, theirs, own, ours / theirs);
}
