#include <pathkernel/machine/feature_ridge.h>

#include <pathkernel/core/bytes.h>
#include <pathkernel/core/error.h>
#include <pathkernel/core/random.h>
#include <pathkernel/kernel/gram.h>
#include <pathkernel/kernel/specification.h>

#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <numeric>

namespace pathkernel {
namespace {

constexpr int64_t block_rows = 4096;

/// Fisher and Yates, as far as needed.
Tensor drawn_rows(int64_t n, int64_t count, uint64_t seed) {
  std::vector<int64_t> rows(static_cast<size_t>(n));
  std::iota(rows.begin(), rows.end(), 0);
  RandomStream random(stream_seed(seed, Stream::sampling, 3));
  for (int64_t k = 0; k < count; ++k)
    std::swap(rows[static_cast<size_t>(k)], rows[static_cast<size_t>(k) + random.below(static_cast<uint64_t>(n - k))]);
  rows.resize(static_cast<size_t>(count));
  std::sort(rows.begin(), rows.end());
  return at::tensor(rows, at::kLong);
}

}  // namespace

Tensor fit_features(const FeatureRows& rows, int64_t n, int64_t features, const Tensor& y, double lambda, const MachineOptions& options, const Progress& progress) {
  constexpr const char* who = "feature ridge";
  if (!(lambda > 0) || !std::isfinite(lambda)) throw InvalidInput(fmt::format("{}: lambda is {}, expected a number above zero", who, lambda));
  const double bytes = 8.0 * (3.0 * static_cast<double>(features) + static_cast<double>(std::min(block_rows, n))) * static_cast<double>(features);
  if (bytes > static_cast<double>(options.memory))
    throw InvalidInput(fmt::format("{}: {} features take about {}, but {} are allowed; use fewer, or allow more memory", who, features,
                                   print_bytes(static_cast<int64_t>(std::min(bytes, 9e18))), print_bytes(options.memory)));
  const Tensor targets = targets_of(y, n, who);
  Tensor square = at::zeros({features, features}, targets.options()), product = at::zeros({features, targets.size(1)}, targets.options());
  for (int64_t begin = 0; begin < n; begin += block_rows) {
    const int64_t count = std::min(block_rows, n - begin);
    const Tensor block = rows(begin, count).to(at::kDouble);
    square.addmm_(block.t(), block);
    product.addmm_(block.t(), targets.narrow(0, begin, count));
    if (progress) progress("features", begin + count, n);
  }
  square.diagonal() += lambda;
  return cholesky(square, options, who, fmt::format("the features' matrix + {:g}*I", lambda)).solve(product);
}

Nystrom fit_nystrom(const Kernel& kernel, const Tensor& x, const Tensor& y, double lambda, int64_t landmarks, uint64_t seed, const MachineOptions& options,
                    const Progress& progress) {
  kernel.check(x);
  const int64_t n = x.size(0);
  if (landmarks < 1 || landmarks > n) throw InvalidInput(fmt::format("Nystroem: {} landmarks, but there are {} examples", landmarks, n));
  require_memory(5, landmarks, options.memory, "Nystroem");
  Nystrom machine;
  machine.landmarks = drawn_rows(n, landmarks, seed);
  const Tensor z = x.index_select(0, machine.landmarks);
  const GramOptions gram{.memory = options.memory};
  const EigenDecomposition e = eigen_decomposition(gram_matrix(kernel, z, {}, gram).to(at::kDouble), "Nystroem");
  const double floor = 10 * static_cast<double>(landmarks) * std::numeric_limits<double>::epsilon() * e.values[-1].item<double>();
  machine.rank = e.values.gt(floor).sum().item<int64_t>();
  if (machine.rank == 0) throw InvalidInput("Nystroem: the kernel is zero on all landmarks");
  const int64_t from = landmarks - machine.rank;
  const Tensor whiten = e.vectors.narrow(1, from, machine.rank) / e.values.narrow(0, from, machine.rank).sqrt();  // [m, rank]
  double explained = 0;
  const FeatureRows rows = [&](int64_t begin, int64_t count) {
    const Tensor phi = gram_matrix(kernel, x.narrow(0, begin, count), z, gram).to(at::kDouble).mm(whiten);
    explained += phi.square().sum().item<double>();
    return phi;
  };
  machine.alpha = whiten.mm(fit_features(rows, n, machine.rank, y, lambda, options, progress));
  const double trace = gram_diagonal(kernel, x, gram).sum().item<double>();
  machine.unexplained = std::max(0.0, 1 - explained / trace);
  return machine;
}

Tensor RandomFeatureRidge::predict(const RandomFeatures& features, const Tensor& x) const { return features(x).to(at::kDouble).mm(weights); }

RandomFeatureRidge fit_random_features(const RandomFeatures& features, const Tensor& x, const Tensor& y, double lambda, const MachineOptions& options,
                                       const Progress& progress) {
  RandomFeatureRidge machine;
  const RandomFeatures::Estimate some = features.gram(x.narrow(0, 0, std::min<int64_t>(200, x.size(0))));
  machine.kernel_error = std::sqrt(some.standard_error.square().mean().item<double>()) / some.gram.diagonal().mean().item<double>();
  machine.weights = fit_features([&](int64_t begin, int64_t count) { return features(x.narrow(0, begin, count)); }, x.size(0), features.features(), y, lambda,
                                 options, progress);
  return machine;
}

RandomFeatures fourier_features_of(const Kernel& kernel, int64_t inputs, int64_t directions, uint64_t seed) {
  const std::string text = kernel.specification();
  const std::vector<Hyperparameter> parameters = kernel.hyperparameters();
  if (parameters.size() == 1 && parameters[0].name == "lengthscale" && text.find_first_of("*+(") == std::string::npos) {
    const Tensor lengthscale = parameters[0].value.detach();
    if (text.starts_with("rbf:")) return RandomFeatures::fourier(lengthscale, inputs, directions, {}, seed);
    if (text.starts_with("laplace:") && text.find("norm=1") == std::string::npos) return RandomFeatures::fourier(lengthscale, inputs, directions, 0.5, seed);
    if (text.starts_with("matern:"))
      return RandomFeatures::fourier(lengthscale, inputs, directions, Arguments("kernel", text.substr(text.find(':') + 1)).number("nu"), seed);
  }
  throw InvalidInput(fmt::format("random features: they are made for rbf, laplace and matern alone, not for {}; use Nystroem", text));
}

}  // namespace pathkernel
