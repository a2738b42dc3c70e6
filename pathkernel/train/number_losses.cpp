#include <pathkernel/core/error.h>
#include <pathkernel/train/number_losses.h>

#include <ATen/core/Reduction.h>
#include <ATen/ops/binary_cross_entropy_with_logits.h>
#include <ATen/ops/huber_loss.h>
#include <ATen/ops/mse_loss.h>
#include <fmt/format.h>

namespace pathkernel {
namespace {

class NumberLoss : public Objective {
 public:
  std::string targets() const override { return "numbers"; }
  void check(const Dataset& data) const override {
    if (data.is_classification())
      throw InvalidInput(fmt::format("{}: takes numbers as targets, but {} has class labels; use cross-entropy, label-smoothing:0.1 or hinge", name(), data.name));
  }

  Tensor losses(const Tensors& outputs, const Tensor& targets) const override {
    const Tensor& f = outputs.at(0);
    if (!targets.is_floating_point() || f.dim() < 1 || f.numel() != targets.numel() || f.size(0) != targets.size(0))
      throw InvalidInput(fmt::format("{}: takes outputs [n, K] and floating point targets [n, K] (or [n, 1] and [n]), but got {} "
                                     "and {}; for class labels use cross-entropy",
                                     name(), describe(f), describe(targets)));
    const Tensor by_coordinate = elementwise(f, targets.view(f.sizes()));
    return f.dim() == 1 ? by_coordinate : by_coordinate.flatten(1).mean(1);
  }

 protected:
  /// Both of one shape.
  virtual Tensor elementwise(const Tensor& f, const Tensor& y) const = 0;
};

class MeanSquaredError : public NumberLoss {
 public:
  std::string name() const override { return "mse"; }

 protected:
  Tensor elementwise(const Tensor& f, const Tensor& y) const override { return at::mse_loss(f, y, at::Reduction::None); }
};

class Huber : public NumberLoss {
 public:
  explicit Huber(double delta) : delta_(delta) {}
  std::string name() const override { return fmt::format("huber:{}", delta_); }

 protected:
  Tensor elementwise(const Tensor& f, const Tensor& y) const override { return at::huber_loss(f, y, at::Reduction::None, delta_); }

 private:
  double delta_;
};

class BinaryCrossEntropy : public NumberLoss {
 public:
  std::string name() const override { return "bce-with-logits"; }
  std::string targets() const override { return "auto"; }

  void check(const Dataset& data) const override {
    if (data.is_classification() && data.class_names.size() != 2)
      throw InvalidInput(fmt::format("bce-with-logits: takes two classes, or several labels between 0 and 1 for each example, but {} has {} classes; "
                                     "use cross-entropy",
                                     data.name, data.class_names.size()));
    if (data.is_classification() || data.size() == 0) return;
    const double least = data.targets.min().item<double>(), most = data.targets.max().item<double>();
    if (least < 0 || most > 1)
      throw InvalidInput(fmt::format("bce-with-logits: takes targets between 0 and 1, but those of {} go from {:g} to {:g}; for regression use "
                                     "mse or huber:1",
                                     data.name, least, most));
  }
  /// One number says which of two classes.
  int64_t outputs_for_classes(int64_t) const override { return 1; }

  Tensor losses(const Tensors& outputs, const Tensor& targets) const override {
    if (targets.scalar_type() == at::kLong && targets.dim() == 1) return NumberLoss::losses(outputs, targets.to(outputs.at(0).scalar_type()));
    return NumberLoss::losses(outputs, targets);
  }

 protected:
  Tensor elementwise(const Tensor& f, const Tensor& y) const override {
    return at::binary_cross_entropy_with_logits(f, y, /*weight=*/{}, /*pos_weight=*/{}, at::Reduction::None);
  }
};

}  // namespace

std::unique_ptr<Objective> make_number_loss(const NamedNumber& loss) {
  if (loss.name == "huber") {
    if (!loss.number || *loss.number <= 0)
      throw InvalidInput("loss huber: expected where it turns from square to straight behind a colon, above zero, e.g. huber:1");
    return std::make_unique<Huber>(*loss.number);
  }
  if (loss.name == "mse" && !loss.number) return std::make_unique<MeanSquaredError>();
  if (loss.name == "bce-with-logits" && !loss.number) return std::make_unique<BinaryCrossEntropy>();
  return nullptr;
}

}  // namespace pathkernel
