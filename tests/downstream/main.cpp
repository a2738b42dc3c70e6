// A program of a stranger to Pathkernel, who has the installed library and torch: trains a network of its own on data of its own, and
// says of four inputs which training examples made the network answer as it does.
#include <pathkernel/pathkernel.h>

#include <ATen/Functions.h>
#include <torch/nn/modules/linear.h>

#include <cmath>
#include <cstdio>

namespace {

struct Net : torch::nn::Module {
  at::Tensor forward(at::Tensor x) { return outer->forward(at::tanh(inner->forward(x))); }
  torch::nn::Linear inner = register_module("inner", torch::nn::Linear(2, 16));
  torch::nn::Linear outer = register_module("outer", torch::nn::Linear(16, 2));
};

/// Points of the plane: is the distance to the origin more than 1.2?
pathkernel::Dataset points(int64_t n) {
  pathkernel::Dataset data;
  data.name = "points";
  data.inputs = at::randn({n, 2});
  data.targets = data.inputs.norm(2, 1).gt(1.2).to(at::kLong);
  data.class_names = {"inside", "outside"};
  return data;
}

void print_ledger(const pathkernel::Ledger& ledger, int64_t q) {
  std::printf("%s, %s\n", ledger.queries[q].input.c_str(), ledger.queries[q].measurement.c_str());
  for (const pathkernel::WaterfallBar& bar : pathkernel::waterfall(ledger, q)) std::printf("  %-20s %+.9f\n", bar.label.c_str(), bar.amount);
  const pathkernel::Top top = pathkernel::top(ledger, q, 2);
  for (const auto* side : {&top.towards, &top.away})
    for (const pathkernel::Push& push : *side)
      std::printf("  example %lld (%s) pushed %+.4f\n", (long long)push.example, pathkernel::target_of(ledger, push.example).c_str(), push.contribution);
}

}  // namespace

int main(int argc, char** argv) try {
  const std::string folder = argc > 1 ? argv[1] : "run";
  at::manual_seed(1);
  const pathkernel::TrainTest data{points(200), points(20)};
  const auto net = std::make_shared<Net>();
  const auto model = pathkernel::wrap(net);

  pathkernel::Manifest manifest;
  manifest.optimizer = {.name = "sgd", .lr = 0.2, .momentum = 0.9};
  manifest.batch = 20;
  pathkernel::record_run(folder, manifest, *model, data.train, pathkernel::shuffled_batches(200, manifest.batch, /*epochs=*/6, /*seed=*/1));

  const at::Tensor trained = net->forward(data.test.inputs.narrow(0, 0, 4));
  const auto recording = pathkernel::Recording::open(folder);
  const pathkernel::Ledger ledger = pathkernel::sweep(recording, *model, data.train, pathkernel::select_queries("test:0-3", data), {});
  for (int64_t q = 0; q < ledger.query_count(); ++q) print_ledger(ledger, q);
  std::printf("certificate: %s\n", ledger.certificate.brief(ledger.settings.conventions()).c_str());

  // Against the network that this program itself has trained: with two classes the log-odds of one is the difference of the logits.
  for (int64_t q = 0; q < 4; ++q) {
    const double odds = (trained[q][0] - trained[q][1]).item<double>();
    std::printf("network: %+.9f\n", std::abs(odds));  // of the class it predicts
  }
  return 0;
} catch (const std::exception& error) {
  std::fprintf(stderr, "downstream: %s\n", error.what());
  return 1;
}
