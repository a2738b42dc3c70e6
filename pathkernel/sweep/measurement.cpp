#include <pathkernel/sweep/measurement.h>

#include <ATen/ops/log_softmax.h>
#include <ATen/ops/zeros_like.h>
#include <fmt/format.h>
#include <pathkernel/core/error.h>
#include <pathkernel/core/parse_number.h>

namespace pathkernel {
namespace {

/// Outputs as scores [n, C].
Tensor scores(const Tensors& outputs) {
  const Tensor& z = outputs.at(0);
  return z.dim() == 1 ? z.unsqueeze(1) : z.flatten(1);
}

Tensor one_hot(const Tensor& classes, const Tensor& z) {
  return at::zeros_like(z, z.options().dtype(at::kBool)).scatter_(1, classes.unsqueeze(1), true);
}

constexpr double minus_infinity = -std::numeric_limits<double>::infinity();

/// Measurements of one chosen class per input.
class OfClass : public Measurement {
 public:
  OfClass(std::string name, std::vector<std::string> class_names) : name_(std::move(name)), class_names_(std::move(class_names)) {}
  int64_t per_input() const override { return 1; }

  void prepare(const Tensors& outputs, const Tensor& targets) override {
    const Tensor z = scores(outputs);
    if (z.size(1) < 2) throw InvalidInput(fmt::format("explain: measure {} needs class scores, but this network gives one number per input; use measure output:0 "
                                                      "(with bce-with-logits that is the log-odds of the second class) or loss", name_));
    if (name_ == "margin") {
      if (!targets.defined() || targets.dim() != 1 || at::isFloatingType(targets.scalar_type())) {
        throw InvalidInput("explain: measure margin compares with the true class, but these queries have no class labels; use log-odds");
      }
      chosen_ = targets;
    } else {
      chosen_ = z.argmax(1);
    }
    mask_ = one_hot(chosen_, z);
    runner_up_ = z.masked_fill(mask_, minus_infinity).argmax(1).cpu();
    chosen_cpu_ = chosen_.cpu();
  }

  Tensor values(const Tensors& outputs) const override {
    const Tensor z = scores(outputs);
    const Tensor mine = z.gather(1, chosen_.unsqueeze(1));
    if (name_ == "log-prob") return at::log_softmax(z, 1).gather(1, chosen_.unsqueeze(1));
    const Tensor others = z.masked_fill(mask_, minus_infinity);
    if (name_ == "margin") return mine - std::get<0>(others.max(1, /*keepdim=*/true));
    return mine - others.logsumexp(1, /*keepdim=*/true);
  }

  std::string describe(int64_t input, int64_t) const override {
    const auto name = [&](const Tensor& c) {
      const int64_t k = c[input].item<int64_t>();
      return k < int64_t(class_names_.size()) ? class_names_[size_t(k)] : std::to_string(k);
    };
    if (name_ == "log-prob") return fmt::format("log-probability of {}", name(chosen_cpu_));
    if (name_ == "margin") return fmt::format("margin of {} (true class) over {}", name(chosen_cpu_), name(runner_up_));
    return fmt::format("log-odds of {} (runner-up {})", name(chosen_cpu_), name(runner_up_));
  }

  std::string describe_any(int64_t) const override {
    return name_ == "margin" ? "margin of the true class" : name_ == "log-prob" ? "log-probability of the predicted class" : "log-odds of the predicted class";
  }

 private:
  std::string name_;
  std::vector<std::string> class_names_;
  Tensor chosen_, chosen_cpu_, mask_, runner_up_;
};

/// One coordinate of the outputs, or all of them.
class Coordinates : public Measurement {
 public:
  Coordinates(std::string name, int64_t index, std::vector<std::string> class_names) : name_(std::move(name)), index_(index), class_names_(std::move(class_names)) {}
  int64_t per_input() const override { return index_ < 0 ? width_ : 1; }
  void prepare(const Tensors& outputs, const Tensor&) override {
    width_ = scores(outputs).size(1);
    if (index_ >= width_) throw InvalidInput(fmt::format("explain: measure {}:{}: the network gives {} numbers per input (0 to {})", name_, index_, width_, width_ - 1));
  }
  Tensor values(const Tensors& outputs) const override {
    const Tensor z = scores(outputs);
    return index_ < 0 ? z : z.narrow(1, index_, 1);
  }
  std::string describe(int64_t, int64_t k) const override { return describe_any(k); }
  std::string describe_any(int64_t k) const override {
    const int64_t index = index_ < 0 ? k : index_;
    if (index < int64_t(class_names_.size())) return fmt::format("{} of {}", name_, class_names_[size_t(index)]);
    return fmt::format("{} {}", name_, index);
  }

 private:
  std::string name_;
  int64_t index_, width_ = 1;
  std::vector<std::string> class_names_;
};

class Loss : public Measurement {
 public:
  explicit Loss(const Objective& objective) : objective_(objective) {}
  int64_t per_input() const override { return 1; }
  void prepare(const Tensors&, const Tensor& targets) override {
    if (!targets.defined()) throw InvalidInput("explain: measure loss needs the queries' targets, and these have none");
    targets_ = targets;
  }
  Tensor values(const Tensors& outputs) const override { return objective_.losses(outputs, targets_).unsqueeze(1); }
  std::string describe(int64_t, int64_t k) const override { return describe_any(k); }
  std::string describe_any(int64_t) const override { return "loss (" + objective_.name() + ")"; }

 private:
  const Objective& objective_;
  Tensor targets_;
};

}  // namespace

std::unique_ptr<Measurement> make_measurement(const std::string& name, const Objective& objective, const std::vector<std::string>& class_names) {
  if (name == "log-odds" || name == "margin" || name == "log-prob") return std::make_unique<OfClass>(name, class_names);
  if (name == "logits") return std::make_unique<Coordinates>("logit", -1, class_names);
  if (name == "loss") return std::make_unique<Loss>(objective);
  for (const std::string kind : {"logit", "output"}) {
    if (name.rfind(kind + ":", 0) != 0) continue;
    const auto index = parse_number<int64_t>(name.substr(kind.size() + 1));
    if (!index || *index < 0) break;
    return std::make_unique<Coordinates>(kind, *index, class_names);
  }
  throw InvalidInput(fmt::format("explain: measure '{}' is not known; one of log-odds, margin, log-prob, logit:K, logits, loss, output:K", name));
}

}  // namespace pathkernel
