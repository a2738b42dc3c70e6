#include <pathkernel/core/error.h>
#include <pathkernel/train/named_number.h>
#include <pathkernel/train/regulariser.h>

#include <fmt/format.h>

namespace pathkernel {
namespace {

/// α ‖w‖₁
class L1 : public Regulariser {
 public:
  explicit L1(double alpha) : alpha_(alpha) {}
  std::string name() const override { return fmt::format("l1:{}", alpha_); }

  double value(const Tensors& parameters) const override {
    double sum = 0;
    for (const Tensor& w : parameters) sum += w.detach().abs().sum(at::kDouble).item<double>();
    return alpha_ * sum;
  }
  Tensors gradient(const Tensors& parameters) const override {
    Tensors gradient;
    for (const Tensor& w : parameters) gradient.push_back(w.detach().sign().mul_(alpha_));
    return gradient;
  }

 private:
  double alpha_;
};

/// ½ α ‖w‖²
class L2 : public Regulariser {
 public:
  explicit L2(double alpha) : alpha_(alpha) {}
  std::string name() const override { return fmt::format("l2:{}", alpha_); }

  double value(const Tensors& parameters) const override {
    double sum = 0;
    for (const Tensor& w : parameters) sum += w.detach().to(at::kDouble).square().sum().item<double>();
    return alpha_ / 2 * sum;
  }
  Tensors gradient(const Tensors& parameters) const override {
    Tensors gradient;
    for (const Tensor& w : parameters) gradient.push_back(w.detach().mul(alpha_));
    return gradient;
  }

 private:
  double alpha_;
};

}  // namespace

std::unique_ptr<Regulariser> make_regulariser(const std::string& name) {
  if (name.empty()) return nullptr;
  const auto [kind, alpha] = parse_named_number("regulariser", name);
  if (kind != "l1" && kind != "l2") throw InvalidInput(fmt::format("unknown regulariser \"{}\": use l1:ALPHA or l2:ALPHA, e.g. l2:1e-3", name));
  if (!alpha || *alpha <= 0)
    throw InvalidInput(fmt::format("regulariser \"{}\": expected a strength above zero behind the colon, e.g. {}:1e-3", name, kind));
  if (kind == "l1") return std::make_unique<L1>(*alpha);
  return std::make_unique<L2>(*alpha);
}

}  // namespace pathkernel
