#include <pathkernel/core/error.h>
#include <pathkernel/train/class_losses.h>

#include <ATen/core/Reduction.h>
#include <ATen/ops/cross_entropy_loss.h>
#include <ATen/ops/multi_margin_loss.h>
#include <fmt/format.h>

namespace pathkernel {
namespace {

class ClassLoss : public Objective {
 public:
  std::string targets() const override { return "classes"; }
  void check(const Dataset& data) const override {
    if (!data.is_classification())
      throw InvalidInput(fmt::format("{}: takes class labels, but {} has numbers as targets; use mse, huber:1 or bce-with-logits", name(), data.name));
    if (data.class_names.size() < 2)
      throw InvalidInput(fmt::format("{}: the labels of {} are all the same ({}): there is nothing to tell apart; for numbers use mse", name(), data.name,
                                     data.class_names.front()));
  }

 protected:
  /// @return the scores
  const Tensor& scores(const Tensors& outputs, const Tensor& targets) const {
    const Tensor& f = outputs.at(0);
    if (f.dim() != 2 || targets.dim() != 1 || targets.scalar_type() != at::kLong || targets.size(0) != f.size(0))
      throw InvalidInput(fmt::format("{}: takes scores [n, classes] and int64 labels [n], but got {} and {}; for regression use "
                                     "mse or huber:1",
                                     name(), describe(f), describe(targets)));
    return f;
  }
};

class CrossEntropy : public ClassLoss {
 public:
  explicit CrossEntropy(double smoothing) : smoothing_(smoothing) {}
  std::string name() const override { return smoothing_ == 0 ? "cross-entropy" : fmt::format("label-smoothing:{}", smoothing_); }

  Tensor losses(const Tensors& outputs, const Tensor& targets) const override {
    constexpr int64_t ignore_nothing = -100;
    return at::cross_entropy_loss(scores(outputs, targets), targets, /*weight=*/{}, at::Reduction::None, ignore_nothing, smoothing_);
  }

 private:
  double smoothing_;
};

class Hinge : public ClassLoss {
 public:
  std::string name() const override { return "hinge"; }

  Tensor losses(const Tensors& outputs, const Tensor& targets) const override {
    return at::multi_margin_loss(scores(outputs, targets), targets, /*p=*/1, /*margin=*/1, /*weight=*/{}, at::Reduction::None);
  }
};

}  // namespace

std::unique_ptr<Objective> make_class_loss(const NamedNumber& loss) {
  if (loss.name == "label-smoothing") {
    if (!loss.number || *loss.number < 0 || *loss.number >= 1)
      throw InvalidInput("loss label-smoothing: expected how much behind a colon, from 0 up to below 1, e.g. label-smoothing:0.1");
    return std::make_unique<CrossEntropy>(*loss.number);
  }
  if (loss.name == "cross-entropy" && !loss.number) return std::make_unique<CrossEntropy>(0);
  if (loss.name == "hinge" && !loss.number) return std::make_unique<Hinge>();
  return nullptr;
}

}  // namespace pathkernel
