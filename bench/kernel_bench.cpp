// The analytic NTK of a deep ReLU network as a Gram matrix, beside what cannot be avoided: one n×n×d matrix product and a pass over n² numbers for each layer. A pass is
// counted twice: as numbers read and written, and with one arc cosine of each, which every layer takes of its angles. And K(x, x) beside K(x, y) of the same size.
//   kernel_bench [n] [threads] [hidden layers] [inputs]
#include <ATen/Parallel.h>
#include <ATen/ops/acos.h>
#include <ATen/ops/clamp.h>
#include <ATen/ops/mm.h>
#include <ATen/ops/mul.h>
#include <ATen/ops/randn.h>
#include <fmt/format.h>
#include <pathkernel/core/allocation.h>
#include <pathkernel/kernel/gram.h>
#include <pathkernel/kernel/network.h>

#include <algorithm>
#include <thread>

#include "timing.h"

using namespace pathkernel;

namespace {

void run(at::ScalarType dtype, int64_t n, int64_t layers, int64_t d) {
  const Tensor x = at::randn({n, d}, dtype), y = at::randn({n, d}, dtype);
  std::string net = "dense";
  for (int64_t l = 0; l < layers; ++l) net += " relu dense";
  const KernelPtr kernel = network_kernel(parse_network(net, {.W_std = 1.5, .b_std = 0.1}), Limit::ntk);
  const GramOptions options{.memory = int64_t{8} << 30};
  Tensor K;
  const double product = best([&] { K = at::mm(x, y.t()); });
  K = at::clamp(K / K.abs().max(), -1, 1);
  const double pass = best([&] { K.mul_(1.0); }), arc = best([&] { at::acos(K); });
  K = Tensor();
  const double rectangular = best([&] { gram_matrix(*kernel, x, y, options); }), symmetric = best([&] { gram_matrix(*kernel, x, {}, options); });
  const double passes = static_cast<double>(layers);
  fmt::print("{}: product {:.2f} s, a pass {:.3f} s, with an arc cosine {:.3f} s; K(x, y) {:.2f} s, K(x, x) {:.2f} s\n", dtype == at::kFloat ? "float32" : "float64", product, pass, arc,
             rectangular, symmetric);
  fmt::print("    K(x, y) over product and passes {:.1f}x, with arc cosines {:.1f}x (at most 3x wanted); K(x, y) over K(x, x) {:.2f}x (2x wanted)\n",
             rectangular / (product + passes * pass), rectangular / (product + passes * arc), rectangular / symmetric);
}

}  // namespace

int main(int argc, char** argv) {
  keep_freed_memory();
  const int64_t n = argc > 1 ? std::stoll(argv[1]) : 5000;
  at::set_num_threads(argc > 2 ? std::stoi(argv[2]) : static_cast<int>(std::thread::hardware_concurrency()));
  const int64_t layers = argc > 3 ? std::stoll(argv[3]) : 5, d = argc > 4 ? std::stoll(argv[4]) : 784;
  fmt::print("NTK of {} hidden ReLU layers, n = {}, d = {}, {} threads\n", layers, n, d, at::get_num_threads());
  for (const at::ScalarType dtype : {at::kFloat, at::kDouble}) run(dtype, n, layers, d);
}
