#include <pathkernel/machine/trained_machine.h>

#include <pathkernel/core/error.h>
#include <pathkernel/kernel/gram.h>
#include <pathkernel/kernel/linearised.h>
#include <pathkernel/kernel/tangent_kernel.h>
#include <pathkernel/model/architectures.h>
#include <pathkernel/model/in_float64.h>

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

template <class Predict>
MachinePrediction in_pieces(const Tensor& x, int64_t rows, const Progress& progress, const Predict& of_block) {
  std::vector<MachinePrediction> parts;
  for (int64_t begin = 0; begin < x.size(0); begin += rows) {
    parts.push_back(of_block(x.narrow(0, begin, std::min(rows, x.size(0) - begin))));
    if (progress) progress("predictions", std::min(begin + rows, x.size(0)), x.size(0));
  }
  if (parts.empty()) throw InvalidInput("machine: no inputs were given");
  return joined(parts);
}

/// With the tangent kernel of the network that the machine keeps.
MachinePrediction through_network(const TrainedMachine& machine, const Tensor& x, int64_t memory, const Progress& progress) {
  if (!x.defined() || x.dim() < 2 || x.sizes().slice(1) != machine.inputs.sizes().slice(1))
    throw InvalidInput(fmt::format("{}: inputs are {}, but the machine was fitted to {}", machine.kind, describe(x), describe(machine.inputs)));
  const std::unique_ptr<Model> model = machine.network->make();
  constexpr int64_t rows = 1000;
  return in_pieces(x, rows, progress, [&](const Tensor& block) {
    if (const auto* fit = std::get_if<Finetuned>(&machine.fitted)) return predict_finetuned(machine, *model, {machine.inputs}, {block}, fit->exact(), memory);
    return predict(machine, network_gram(*model, block, machine.inputs, memory / 2), machine.wants_diagonal() ? network_diagonal(*model, block, memory / 2) : Tensor());
  });
}

}  // namespace

KeptNetwork KeptNetwork::of(const Model& model) {
  const auto kept = [](const NamedTensors& all) {
    NamedTensors copied;
    for (const NamedTensor& t : all) copied.push_back({t.name, t.tensor.detach().clone()});
    return copied;
  };
  return {model.specification(), kept(model.parameters()), kept(model.buffers())};
}

std::unique_ptr<Model> KeptNetwork::make() const {
  if (specification.empty() || specification.starts_with("python:"))
    throw InvalidInput(fmt::format("machine: its network is {}, which only the program that fitted it can build; ask it there (in Python: pathkernel.machines)",
                                   specification.empty() ? "a module of another program" : "Python's " + specification.substr(7)));
  std::unique_ptr<Model> model = make_model(specification, parameters.empty() ? at::kDouble : parameters[0].tensor.scalar_type());
  model->bind_parameters(values(parameters));
  model->bind_buffers(values(buffers));
  return model;
}

Tensor network_gram(Model& model, const Tensor& x, const Tensor& y, int64_t memory, const Progress& progress) {
  const InFloat64 bound(model);
  return tangent_kernel(model, InFloat64::inputs({x}), y.defined() ? InFloat64::inputs({y}) : Tensors(), {.form = TangentForm::trace, .memory = memory, .progress = progress});
}

Tensor network_diagonal(Model& model, const Tensor& x, int64_t memory) {
  const InFloat64 bound(model);
  const Linearised net(model, InFloat64::inputs({x}), memory);
  return net.diagonal().view({net.examples(), net.outputs()}).sum(1);
}

const char* TrainedMachine::type_of(const Fitted& fitted) {
  static constexpr const char* names[] = {"expansion", "gaussian_process", "laplace_binary", "laplace_multiclass", "svm", "kernel_pca", "fourier_expansion", "finetuned"};
  return names[fitted.index()];
}

int64_t TrainedMachine::columns() const {
  return std::visit(overloaded{[](const KernelExpansion& m) { return m.alpha.size(0); }, [](const GaussianProcess& m) { return m.alpha.size(0); },
                               [](const LaplaceBinary& m) { return m.mode.size(0); }, [](const LaplaceMulticlass& m) { return m.mode.size(1); },
                               [](const Svm& m) { return m.examples; }, [](const KernelPca& m) { return m.directions.size(0); },
                               [](const FourierExpansion&) { return int64_t{0}; }, [](const Finetuned& m) { return m.alpha.size(0); }},
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
                        [&](const FourierExpansion&) { throw InvalidInput("random features: they take inputs, not a kernel matrix"); },
                        [&](const Finetuned&) { throw InvalidInput("fine-tuning: it takes inputs, not a kernel matrix"); }},
             machine.fitted);
  return p;
}

MachinePrediction predict_inputs(const TrainedMachine& machine, const Tensor& x, int64_t memory, const Progress& progress) {
  if (machine.network) return through_network(machine, x, memory, progress);
  if (machine.kernel.empty())
    throw InvalidInput(fmt::format("{}: this machine was fitted on a Gram matrix from elsewhere; give the kernel between queries and its {} examples", machine.kind,
                                   machine.columns()));
  if (const auto* features = std::get_if<FourierExpansion>(&machine.fitted)) return from_features(machine, *features, x);
  const KernelPtr kernel = parse_kernel(machine.kernel);
  kernel->check(x, machine.inputs);
  const GramOptions gram{.memory = memory / 2};
  const int64_t rows = std::clamp<int64_t>(memory / 8 / 8 / machine.columns(), 1, x.size(0));
  return in_pieces(x, rows, progress, [&](const Tensor& block) {
    return predict(machine, gram_matrix(*kernel, block, machine.inputs, gram), machine.wants_diagonal() ? gram_diagonal(*kernel, block, gram) : Tensor());
  });
}

MachinePrediction predict_finetuned(const TrainedMachine& machine, Model& model, const Tensors& examples, const Tensors& x, bool variance, int64_t memory) {
  const auto* fit = std::get_if<Finetuned>(&machine.fitted);
  if (fit == nullptr || !machine.network) throw InvalidInput(fmt::format("{}: this machine is no fine-tuned network", machine.kind));
  const OwnWeights own(model);
  model.bind_parameters(values(machine.network->parameters));
  model.bind_buffers(values(machine.network->buffers));
  const FinetunedPrediction f = predict(model, *fit, examples, x, variance, memory);
  MachinePrediction p;
  p.outputs = f.outputs;
  p.probabilities = f.probabilities;
  p.probability_error = f.probability_error;
  if (f.covariance.defined()) p.variance = f.covariance.diagonal(0, 1, 2).clamp_min(0);
  if (fit->classes) p.classes = f.outputs.size(1) == 1 ? f.outputs.squeeze(1).gt(0).to(at::kLong) : f.outputs.argmax(1);
  return p;
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
  const auto* gp = std::get_if<GaussianProcess>(&machine.fitted);
  const auto* finetuned = std::get_if<Finetuned>(&machine.fitted);
  const double noise = gp != nullptr ? gp->noise : finetuned != nullptr ? finetuned->noise : 0;
  if (noise > 0 && prediction.variance.defined()) {
    const Tensor variance = (prediction.variance + noise).view({s.examples, -1});
    s.log_density = -0.5 * (error.square() / variance + (2 * std::numbers::pi * variance).log()).sum(1).mean().item<double>();
  }
  return s;
}

}  // namespace pathkernel
