#include <pathkernel/spectrum/zonal_kernel.h>

#include <pathkernel/core/error.h>
#include <pathkernel/core/random.h>
#include <pathkernel/spectrum/numerics/kernel_value.h>

#include <fmt/format.h>

#include <algorithm>
#include <cstdlib>

namespace pathkernel {
namespace {

constexpr int64_t deepest = 100, deepest_step = 7;

void check_depth(const char* kernel, int64_t depth, int64_t most) {
  if (depth < 2 || depth > most)
    throw InvalidInput(fmt::format("ZonalKernel::{}: depth {}: expected 2 to {} (weight layers; 2 is one hidden layer){}", kernel, depth, most,
                                   most == deepest_step ? "; every layer halves the exponent of the angle, 2^-6 at depth 7" : ""));
}

/// A number above zero, written as one: it is read again at any precision.
void check_scale(const char* kernel, const std::string& scale) {
  char* end = nullptr;
  const double value = std::strtod(scale.c_str(), &end);
  const bool decimal = !scale.empty() && scale.find_first_not_of("0123456789.eE+-") == std::string::npos && end == scale.c_str() + scale.size();
  if (!decimal || !(value > 0) || value > 1e4)
    throw InvalidInput(fmt::format("ZonalKernel::{}: scale '{}': expected a decimal number above 0, up to 10000", kernel, scale));
}

/// Two directions at a right angle, uniform on the sphere.
struct Frame {
  std::vector<double> a, b;
};
Frame random_frame(RandomStream& random, int64_t dim) {
  const auto normal = [&random] {
    double sum = -6;  // twelve uniform numbers: the directions need not be exactly uniform
    for (int k = 0; k < 12; ++k) sum += static_cast<double>(random.next() >> 11) * 0x1p-53;
    return sum;
  };
  const auto unit = [](std::vector<double>& v) {
    double square = 0;
    for (const double x : v) square += x * x;
    for (double& x : v) x /= std::sqrt(square);
  };
  Frame f{std::vector<double>(dim), std::vector<double>(dim)};
  for (double& x : f.a) x = normal();
  for (double& x : f.b) x = normal();
  unit(f.a);
  double along = 0;
  for (int64_t i = 0; i < dim; ++i) along += f.a[i] * f.b[i];
  for (int64_t i = 0; i < dim; ++i) f.b[i] -= along * f.a[i];
  unit(f.b);
  return f;
}

double at_angle(const std::function<double(const std::vector<double>&, const std::vector<double>&)>& kernel, const Frame& f, double u) {
  std::vector<double> y(f.a.size());
  const double v = std::sqrt(std::max(0.0, 1 - u * u));
  for (size_t i = 0; i < y.size(); ++i) y[i] = u * f.a[i] + v * f.b[i];
  return kernel(f.a, y);
}

}  // namespace

ZonalKernel ZonalKernel::arc_cosine(int64_t order) {
  if (order < 0 || order > 2) throw InvalidInput(fmt::format("ZonalKernel::arc_cosine: order {}: expected 0, 1 or 2", order));
  return {Family::arc_cosine, order, "1"};
}

ZonalKernel ZonalKernel::ntk(int64_t depth) {
  check_depth("ntk", depth, deepest);
  return {Family::ntk, depth, "1"};
}

ZonalKernel ZonalKernel::nngp(int64_t depth) {
  check_depth("nngp", depth, deepest);
  return {Family::nngp, depth, "1"};
}

ZonalKernel ZonalKernel::step(int64_t depth) {
  check_depth("step", depth, deepest_step);
  return {Family::step, depth, "1"};
}

ZonalKernel ZonalKernel::laplace(const std::string& scale) {
  check_scale("laplace", scale);
  return {Family::laplace, 0, scale};
}

ZonalKernel ZonalKernel::gaussian(const std::string& scale) {
  check_scale("gaussian", scale);
  return {Family::gaussian, 0, scale};
}

ZonalKernel ZonalKernel::user(UserKernel kernel) {
  if (!kernel.value)
    throw InvalidInput(fmt::format("ZonalKernel::user: kernel '{}' has no function: expected value(u), κ of the inner product u in [-1, 1]", kernel.name));
  if (kernel.power < 1 || kernel.power > 32)
    throw InvalidInput(fmt::format("ZonalKernel::user: kernel '{}': power {} of θ = π s^power: expected 1 to 32", kernel.name, kernel.power));
  ZonalKernel k(Family::user, 0, "1");
  k.user_ = std::move(kernel);
  return k;
}

ZonalKernel ZonalKernel::from_points(const std::string& name, std::function<double(const std::vector<double>& x, const std::vector<double>& y)> kernel,
                                     int64_t dim) {
  if (dim < 3 || !kernel) throw InvalidInput(fmt::format("ZonalKernel::from_points: kernel '{}', dim {}: expected a function and dim of 3 or more", name, dim));
  RandomStream random(1);
  for (const double u : {0.0, 0.3, -0.6, 0.9, -0.95}) {
    const double first = at_angle(kernel, random_frame(random, dim), u);
    for (int other = 0; other < 4; ++other) {
      const double value = at_angle(kernel, random_frame(random, dim), u);
      if (std::abs(value - first) <= 1e-9 * std::max(std::abs(first), std::abs(value)) + 1e-12) continue;
      throw InvalidInput(fmt::format("ZonalKernel::from_points: kernel '{}' is not zonal: for two pairs of points of the sphere with the same inner product "
                                     "{} it gives {:.12g} and {:.12g}. Its eigenfunctions are then no spherical harmonics; expected a function of the "
                                     "inner product alone (dense layers, exp(-c|x-x'|)), not one that tells coordinates apart (convolutions, attention).",
                                     name, u, first, value));
    }
  }
  Frame axes{std::vector<double>(dim), std::vector<double>(dim)};
  axes.a[0] = axes.b[1] = 1;
  return user({name, [kernel = std::move(kernel), axes](double u) { return at_angle(kernel, axes, u); }, {}, 1, {}, {}});
}

int64_t ZonalKernel::power() const {
  if (family_ == Family::user) return user_.power;
  return family_ == Family::step ? int64_t{1} << (depth_ - 2) : 1;
}

std::string ZonalKernel::name() const {
  switch (family_) {
    case Family::arc_cosine: return fmt::format("arc-cosine kernel of order {}", depth_);
    case Family::ntk: return fmt::format("ReLU NTK of depth {}", depth_);
    case Family::nngp: return fmt::format("ReLU NNGP of depth {}", depth_);
    case Family::step: return fmt::format("step kernel of depth {}", depth_);
    case Family::laplace: return scale_ == "1" ? "Laplace kernel exp(-|x-x'|)" : fmt::format("Laplace kernel exp(-{}|x-x'|)", scale_);
    case Family::gaussian: return scale_ == "1" ? "Gaussian kernel exp(-|x-x'|²)" : fmt::format("Gaussian kernel exp(-{}|x-x'|²)", scale_);
    default: return user_.name;
  }
}

double ZonalKernel::operator()(double u) const {
  if (family_ == Family::user) return user_.value(u);
  return value_at_angle(*this, std::acos(std::clamp(u, -1.0, 1.0)));
}

}  // namespace pathkernel
