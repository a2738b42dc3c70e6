#include "trained.h"
#include "commands.h"
#include "opened_run.h"
#include "terminal.h"

#include <pathkernel/core/bytes.h>
#include <pathkernel/core/error.h>
#include <pathkernel/model/dtype.h>
#include <pathkernel/train/objective.h>

#include <ATen/core/grad_mode.h>
#include <ATen/ops/arange.h>
#include <fmt/format.h>
#include <fmt/ranges.h>
#include <nlohmann/json.hpp>

namespace pathkernel::cli {
namespace {

/// The network on data it was not trained on.
struct TestResult {
  int64_t examples = 0, correct = 0;
  double loss = 0;  ///< mean over examples; targets that are numbers
  std::vector<int64_t> wrong;  ///< rows of the wrong ones; classification
};

/// Classes by the highest score, or, where one number says which of two classes, by its sign.
Tensor predicted_classes(const Tensor& scores) { return scores.size(1) > 1 ? scores.argmax(1) : scores.select(1, 0).gt(0).to(at::kLong); }

TestResult test(Model& model, const Dataset& data, const Objective& objective, at::ScalarType dtype) {
  constexpr int64_t chunk = 1000;
  const at::NoGradGuard no_grad;
  TestResult result;
  result.examples = data.size();
  for (int64_t begin = 0; begin < data.size(); begin += chunk) {
    const Batch batch = take(data, at::arange(begin, std::min(begin + chunk, data.size()), at::kLong), dtype);
    const Tensors outputs = model.forward(batch.inputs, Mode::eval);
    if (data.is_classification()) {
      const Tensor wrong = predicted_classes(outputs[0]).ne(batch.targets).nonzero().flatten().to(at::kCPU).contiguous();
      for (int64_t i = 0; i < wrong.numel(); ++i) result.wrong.push_back(begin + wrong.const_data_ptr<int64_t>()[i]);
      result.correct = std::min(begin + chunk, data.size()) - static_cast<int64_t>(result.wrong.size());
    } else {
      result.loss += objective.losses(outputs, batch.targets).sum().item<double>() / static_cast<double>(data.size());
    }
  }
  return result;
}

/// The first wrong ones in the words of `explain --queries`: "wrong ones: test:8,115,247 …".
std::string wrong_ones(const TestResult& result) {
  constexpr size_t listed = 12;
  if (result.wrong.empty()) return {};
  const size_t n = std::min(listed, result.wrong.size());
  return fmt::format("wrong ones: test:{}{}\n", fmt::join(result.wrong.begin(), result.wrong.begin() + static_cast<int64_t>(n), ","),
                     n < result.wrong.size() ? " …" : "");
}

std::string for_people(const std::string& folder, const Manifest& manifest, const RunOutcome& run, const TestResult& result, const Dataset& train,
                       const std::string& model) {
  const double all = run.seconds + run.recording_seconds;
  std::string text = fmt::format("trained {} on {} ({} examples): {} steps of {}, last batch's loss {:.4g}\n", model, train.name,
                                 train.size(), run.steps, manifest.optimizer.name, run.last_loss);
  if (run.first_step > 0) text += fmt::format("resumed at step {}\n", run.first_step);
  if (result.examples > 0 && train.is_classification())
    text += fmt::format("test accuracy {:.2f} % ({} of {})\n", 100.0 * static_cast<double>(result.correct) / static_cast<double>(result.examples),
                        result.correct, result.examples) + wrong_ones(result);
  else if (result.examples > 0)
    text += fmt::format("test {} {:.4g} ({} examples)\n", manifest.objective == "mse" ? "mean squared error" : "loss (" + manifest.objective + ")",
                        result.loss, result.examples);
  text += fmt::format("{}, of which recording {} ({:.1f} %)\n", print_duration(all), print_duration(run.recording_seconds),
                      100 * run.recording_seconds / all);
  text += fmt::format("recorded in {} ({}); next: pathkernel verify {}\n", folder, print_bytes(size_on_disk(folder)), folder);
  return text;
}

nlohmann::json for_scripts(const std::string& folder, const Manifest& manifest, const RunOutcome& run, const TestResult& result, const Dataset& train, const std::string& model) {
  nlohmann::json json = {{"recording", folder},       {"model", model},
                         {"data", train.name},        {"examples", train.size()},
                         {"steps", run.steps},        {"first_step", run.first_step},
                         {"last_loss", run.last_loss},
                         {"seconds", run.seconds},    {"recording_seconds", run.recording_seconds},
                         {"test_examples", result.examples}, {"bytes", size_on_disk(folder)}};
  if (result.examples > 0 && train.is_classification()) {
    json["test_accuracy"] = static_cast<double>(result.correct) / static_cast<double>(result.examples);
    json["test_wrong"] = result.wrong;
  } else if (result.examples > 0) {
    json["test_loss"] = result.loss;
    if (manifest.objective == "mse") json["test_mse"] = result.loss;
  }
  return json;
}

}  // namespace

void report_training(const std::string& folder, const Manifest& manifest, const RunOutcome& run, Model& model, const TrainTest& data, bool json) {
  if (run.status == RunStatus::diverged)
    throw Diverged(fmt::format("training diverged at step {} of {}: {}.\nTry a smaller --lr (it was {:g}). The steps before are recorded in {}.",
                               run.steps, run.planned, run.trouble, manifest.optimizer.lr, folder));
  if (run.status == RunStatus::running)
    throw Interrupted(fmt::format("interrupted at step {} of {}; go on with: pathkernel resume {}", run.steps, run.planned, folder));
  const auto objective = make_objective(manifest.objective, manifest.reduction);
  const TestResult result = test(model, data.test, *objective, parse_dtype(manifest.dtype));
  if (json) fmt::print("{}\n", for_scripts(folder, manifest, run, result, data.train, model.specification()).dump(2));
  else fmt::print("{}", for_people(folder, manifest, run, result, data.train, model.specification()));
}

}  // namespace pathkernel::cli
