#include <pathkernel/machine/trained_machine.h>

#include <pathkernel/core/error.h>
#include <pathkernel/kernel/gram.h>

#include <ATen/ops/cat.h>
#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <numbers>

namespace pathkernel {
namespace {

template <class... Ts>
struct overloaded : Ts... { using Ts::operator()...; };

/// For machines whose outputs are a number for each class.
void choose_class(MachinePrediction& p, const TrainedMachine& machine) {
  if (!machine.classes.empty()) p.classes = p.outputs.argmax(1);
}

MachinePrediction of_latent(const Tensor& mean, Tensor probabilities) {
  MachinePrediction p;
  p.outputs = mean;
  p.classes = probabilities.argmax(1);
  p.probabilities = std::move(probabilities);
  return p;
}

MachinePrediction joined(const std::vector<MachinePrediction>& parts) {
  MachinePrediction all;
  const auto join = [&](Tensor MachinePrediction::* field) {
    Tensors tensors;
    for (const MachinePrediction& part : parts) tensors.push_back(part.*field);
    if (tensors[0].defined()) all.*field = at::cat(tensors);
  };
  for (const auto field : {&MachinePrediction::outputs, &MachinePrediction::classes, &MachinePrediction::variance, &MachinePrediction::probabilities}) join(field);
  for (const MachinePrediction& part : parts) all.probability_error = std::max(all.probability_error, part.probability_error);
  return all;
}

MachinePrediction from_features(const TrainedMachine& machine, const FourierExpansion& f, const Tensor& x) {
  const KernelPtr kernel = parse_kernel(machine.kernel);
  MachinePrediction p;
  p.outputs = fourier_features_of(*kernel, f.inputs, f.directions, f.seed)(x).mm(f.weights) + machine.offset;
  choose_class(p, machine);
  return p;
}

}  // namespace

const char* TrainedMachine::type_of(const Fitted& fitted) {
  static constexpr const char* names[] = {"expansion", "gaussian_process", "laplace_binary", "laplace_multiclass", "svm", "kernel_pca", "fourier_expansion"};
  return names[fitted.index()];
}

int64_t TrainedMachine::columns() const {
  return std::visit(overloaded{[](const KernelExpansion& m) { return m.alpha.size(0); }, [](const GaussianProcess& m) { return m.alpha.size(0); },
                               [](const LaplaceBinary& m) { return m.mode.size(0); }, [](const LaplaceMulticlass& m) { return m.mode.size(1); },
                               [](const Svm& m) { return m.examples; }, [](const KernelPca& m) { return m.directions.size(0); },
                               [](const FourierExpansion&) { return int64_t{0}; }},
                    fitted);
}

bool TrainedMachine::wants_diagonal() const {
  return std::holds_alternative<GaussianProcess>(fitted) || std::holds_alternative<LaplaceBinary>(fitted) || std::holds_alternative<LaplaceMulticlass>(fitted);
}

MachinePrediction predict(const TrainedMachine& machine, const Tensor& K_x, const Tensor& k_xx) {
  MachinePrediction p;
  std::visit(overloaded{[&](const KernelExpansion& m) {
                          p.outputs = query_gram(K_x, m.alpha.size(0), machine.kind).mm(m.alpha) + machine.offset;
                          choose_class(p, machine);
                        },
                        [&](const GaussianProcess& m) {
                          p.outputs = m.mean(K_x) + machine.offset;
                          p.variance = m.variance(K_x, k_xx);
                          choose_class(p, machine);
                        },
                        [&](const LaplaceBinary& m) { p = of_latent(m.mean(K_x).unsqueeze(1), m.probabilities(K_x, k_xx)); },
                        [&](const LaplaceMulticlass& m) {
                          const EstimatedProbabilities e = m.probabilities(K_x, k_xx);
                          p = of_latent(m.mean(K_x), e.mean);
                          p.probability_error = e.standard_error.max().item<double>();
                        },
                        [&](const Svm& m) {
                          p.outputs = m.decisions(K_x);
                          p.classes = m.predict(K_x);
                          if (m.sigmoids.defined()) p.probabilities = m.probabilities(K_x);
                        },
                        [&](const KernelPca& m) { p.outputs = m.transform(K_x); },
                        [&](const FourierExpansion&) { throw InvalidInput("random features: they take inputs, not a kernel matrix"); }},
             machine.fitted);
  return p;
}

MachinePrediction predict_inputs(const TrainedMachine& machine, const Tensor& x, int64_t memory, const Progress& progress) {
  if (machine.kernel.empty())
    throw InvalidInput(fmt::format("{}: this machine was fitted on a Gram matrix from elsewhere; give the kernel between queries and its {} examples", machine.kind,
                                   machine.columns()));
  if (const auto* features = std::get_if<FourierExpansion>(&machine.fitted)) return from_features(machine, *features, x);
  const KernelPtr kernel = parse_kernel(machine.kernel);
  kernel->check(x, machine.inputs);
  const GramOptions gram{.memory = memory / 2};
  const int64_t rows = std::clamp<int64_t>(memory / 8 / 8 / machine.columns(), 1, x.size(0));
  std::vector<MachinePrediction> parts;
  for (int64_t begin = 0; begin < x.size(0); begin += rows) {
    const Tensor block = x.narrow(0, begin, std::min(rows, x.size(0) - begin));
    parts.push_back(predict(machine, gram_matrix(*kernel, block, machine.inputs, gram), machine.wants_diagonal() ? gram_diagonal(*kernel, block, gram) : Tensor()));
    if (progress) progress("predictions", begin + block.size(0), x.size(0));
  }
  return joined(parts);
}

Score score(const TrainedMachine& machine, const MachinePrediction& prediction, const Tensor& targets) {
  if (std::holds_alternative<KernelPca>(machine.fitted)) throw InvalidInput("score: components predict nothing that could be scored");
  Score s;
  s.examples = prediction.outputs.size(0);
  if (!machine.classes.empty()) {
    if (!targets.defined() || targets.dim() != 1 || targets.size(0) != s.examples || targets.scalar_type() != at::kLong)
      throw InvalidInput(fmt::format("score: labels are {}, expected int64 [{}]", describe(targets), s.examples));
    s.accuracy = prediction.classes.eq(targets).to(at::kDouble).mean().item<double>();
    if (prediction.probabilities.defined())
      s.log_loss = -prediction.probabilities.gather(1, targets.unsqueeze(1)).clamp_min(1e-300).log().mean().item<double>();
    return s;
  }
  const Tensor y = targets_of(targets, s.examples, "score");
  if (y.size(1) != prediction.outputs.size(1))
    throw InvalidInput(fmt::format("score: targets are {}, but the machine predicts {} numbers for each", describe(targets), prediction.outputs.size(1)));
  const Tensor error = y - prediction.outputs;
  s.root_mean_square = std::sqrt(error.square().mean().item<double>());
  const double spread = (y - y.mean(0)).square().sum().item<double>();
  if (spread > 0) s.r_squared = 1 - error.square().sum().item<double>() / spread;
  if (const auto* gp = std::get_if<GaussianProcess>(&machine.fitted); gp != nullptr && gp->noise > 0) {
    const Tensor variance = (prediction.variance + gp->noise).unsqueeze(1);
    s.log_density = -0.5 * (error.square() / variance + (2 * std::numbers::pi * variance).log()).sum(1).mean().item<double>();
  }
  return s;
}

}  // namespace pathkernel
