#include <pathkernel/core/error.h>
#include <pathkernel/kernel/classical.h>
#include <pathkernel/kernel/specification.h>

#include <ATen/ops/scalar_tensor.h>
#include <fmt/format.h>

namespace pathkernel {

/// Kernels whose matrices are added or multiplied entry by entry.
class CombinedKernel : public Kernel {
 public:
  enum class Operation { sum, product };
  CombinedKernel(Operation operation, std::vector<KernelPtr> parts) : operation_(operation), parts_(std::move(parts)) {}

  std::string specification() const override;
  std::vector<Hyperparameter> hyperparameters() const override {
    std::vector<Hyperparameter> all;
    for (size_t k = 0; k < parts_.size(); ++k) append_prefixed(all, std::to_string(k), parts_[k]->hyperparameters());
    return all;
  }
  double numbers_per_pair(const Tensor& x) const override {
    double largest = 0;
    for (const KernelPtr& part : parts_) largest = std::max(largest, part->numbers_per_pair(x));
    return largest + 2;
  }
  KernelPtr redrawn(uint64_t draw) const override;

 protected:
  template <class Of>
  Tensor combine(const Of& of) const {
    Tensor total = of(*parts_[0]);
    for (size_t k = 1; k < parts_.size(); ++k) total = operation_ == Operation::sum ? total + of(*parts_[k]) : total * of(*parts_[k]);
    return total;
  }
  Tensor rectangular(const Tensor& x, const Tensor& y) const override { return combine([&](const Kernel& k) { return k.rectangular(x, y); }); }
  Tensor symmetric(const Tensor& x) const override { return combine([&](const Kernel& k) { return k.symmetric(x); }); }
  Tensor diagonal_entries(const Tensor& x) const override { return combine([&](const Kernel& k) { return k.diagonal_entries(x); }); }
  void check_inputs(const Tensor& x) const override {
    for (const KernelPtr& part : parts_) part->check_inputs(x);
  }
  bool assign(const std::string& name, const Tensor& value) override {
    for (size_t k = 0; k < parts_.size(); ++k)
      if (const std::string rest = without_prefix(std::to_string(k), name); !rest.empty()) return parts_[k]->assign(rest, value);
    return false;
  }

 private:
  Operation operation_;
  std::vector<KernelPtr> parts_;
};

class ScaledKernel : public Kernel {
 public:
  ScaledKernel(const Tensor& scale, KernelPtr kernel) : parameters_("kernel"),
      kernel_(std::move(kernel)) { parameters_.add("scale", scale, Range::not_negative); }

  std::string specification() const override;
  std::vector<Hyperparameter> hyperparameters() const override {
    std::vector<Hyperparameter> all = parameters_.list();
    for (const Hyperparameter& p : kernel_->hyperparameters()) all.push_back(p);
    return all;
  }
  double numbers_per_pair(const Tensor& x) const override { return kernel_->numbers_per_pair(x) + 1; }
  KernelPtr redrawn(uint64_t draw) const override {
    KernelPtr kernel = kernel_->redrawn(draw);
    return kernel ? std::make_shared<ScaledKernel>(parameters_["scale"], std::move(kernel)) : nullptr;
  }

 protected:
  Tensor rectangular(const Tensor& x, const Tensor& y) const override { return kernel_->rectangular(x, y) * parameters_["scale"]; }
  Tensor symmetric(const Tensor& x) const override { return kernel_->symmetric(x) * parameters_["scale"]; }
  Tensor diagonal_entries(const Tensor& x) const override { return kernel_->diagonal_entries(x) * parameters_["scale"]; }
  void check_inputs(const Tensor& x) const override { kernel_->check_inputs(x); }
  bool assign(const std::string& name, const Tensor& value) override { return parameters_.set(name, value) || kernel_->assign(name, value); }

 private:
  Hyperparameters parameters_;
  KernelPtr kernel_;
};

namespace {

/// In parentheses where the text would read back as another tree.
std::string in_parentheses(const std::string& text, bool needed) { return needed ? "(" + text + ")" : text; }

}  // namespace

std::string CombinedKernel::specification() const {
  const bool sum = operation_ == Operation::sum;
  std::string text;
  for (const KernelPtr& part : parts_) {
    const auto combined = std::dynamic_pointer_cast<CombinedKernel>(part);
    const bool within_sum = combined && combined->operation_ == Operation::sum;
    const bool within_product = combined || std::dynamic_pointer_cast<ScaledKernel>(part);
    text += (text.empty() ? "" : sum ? " + " : "*") + in_parentheses(part->specification(), sum ? within_sum : within_product);
  }
  return text;
}

std::string ScaledKernel::specification() const {
  const auto combined = std::dynamic_pointer_cast<CombinedKernel>(kernel_);
  const std::string text = kernel_->specification();
  return print_numbers(parameters_["scale"]) + "*" + in_parentheses(text, combined && text.find(" + ") != std::string::npos);
}

KernelPtr CombinedKernel::redrawn(uint64_t draw) const {
  std::vector<KernelPtr> parts;
  bool random = false;
  for (const KernelPtr& part : parts_) {
    KernelPtr again = part->redrawn(draw);
    random |= again != nullptr;
    parts.push_back(again ? again : part);
  }
  return random ? std::make_shared<CombinedKernel>(operation_, std::move(parts)) : nullptr;
}

KernelPtr sum_of(std::vector<KernelPtr> terms) {
  if (terms.empty()) throw InvalidInput("sum_of: no kernels were given");
  return terms.size() == 1 ? terms[0] : std::make_shared<CombinedKernel>(CombinedKernel::Operation::sum, std::move(terms));
}

KernelPtr product_of(std::vector<KernelPtr> factors) {
  if (factors.empty()) throw InvalidInput("product_of: no kernels were given");
  return factors.size() == 1 ? factors[0] : std::make_shared<CombinedKernel>(CombinedKernel::Operation::product, std::move(factors));
}

KernelPtr scaled(double scale, KernelPtr kernel) {
  // A product of one keeps the two numbers called "scale" apart.
  if (std::dynamic_pointer_cast<ScaledKernel>(kernel))
    kernel = std::make_shared<CombinedKernel>(CombinedKernel::Operation::product, std::vector<KernelPtr>{kernel});
  return std::make_shared<ScaledKernel>(at::scalar_tensor(scale, at::kDouble), std::move(kernel));
}

}  // namespace pathkernel
