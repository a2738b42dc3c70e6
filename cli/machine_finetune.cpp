#include "checks.h"
#include "machine_fit.h"
#include "terminal.h"

#include <pathkernel/core/error.h>

#include <fmt/format.h>

#include <cmath>

namespace pathkernel::cli {
namespace {

TrainedMachine finetuned(const FinetuneOptions& asked, const FitProblem& p, std::vector<std::string>& notes) {
  if (!p.model) throw InvalidInput("machine: finetune is of a recorded network; give --run FOLDER, not a kernel");
  FinetuneOptions o = asked;
  o.machine = p.machine;
  o.classes = static_cast<int64_t>(p.data.classes.size());
  o.progress = progress_bar();
  const Finetuned fit = finetune(*p.model, {p.data.inputs}, p.data.targets, o);
  TrainedMachine machine;
  machine.numbers = {{"prior", fit.prior}, {"residual", fit.residual}, {"iterations", static_cast<double>(fit.iterations)}, {"converged", fit.converged ? 1.0 : 0.0},
                     {"jitter", fit.factor.jitter}};
  if (!fit.classes) machine.numbers["noise"] = fit.noise;
  if (fit.exact()) machine.numbers["log_evidence"] = fit.log_evidence;
  notes.push_back(fit.brief());
  machine.fitted = fit;
  return machine;
}

}  // namespace

FitKind finetune_kind() {
  auto o = std::make_shared<FinetuneOptions>();
  auto zero = std::make_shared<bool>(false);
  const auto options = [o, zero](CLI::App& command) {
    command.add_option("--prior", o->prior, "Variance of every weight's change; of several the one with the largest evidence (default: nine around 1 over the mean of the kernel's diagonal)")
        ->check(positive);
    command.add_option("--noise", o->noise, "Numbers: variance of a target; of several the one with the largest evidence (default: five, up to the targets' own)")->check(not_negative);
    command.add_flag("--from-zero", *zero, "The function that no example speaks of is zero (numbers: the targets' mean), not the network's own");
    command.add_flag("--matrix-free", o->matrix_free, "For many examples: conjugate gradients, nothing of size n x n, no variances; wants one --prior (and --noise)");
    command.add_option("--rank", o->rank, "matrix-free: of the preconditioner")->check(not_negative)->capture_default_str();
    command.add_option("--iterations", o->cg.iterations, "matrix-free: at most")->check(positive)->capture_default_str();
    command.add_option("--tolerance", o->cg.tolerance, "matrix-free: residual in units of the targets")->check(positive)->capture_default_str();
  };
  return {"finetune", "A recorded network fitted to another task in function space: the Gaussian process of its Jacobian (--run)", true, options,
          [o, zero](const FitProblem& p, std::vector<std::string>& notes) {
            o->from_network = !*zero;
            return finetuned(*o, p, notes);
          }};
}

}  // namespace pathkernel::cli
