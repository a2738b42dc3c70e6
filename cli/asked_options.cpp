#include "asked_options.h"

#include <pathkernel/model/dtype.h>

namespace pathkernel::cli {

std::vector<CLI::Option*> AskedOptions::add_to(CLI::App& command) {
  return {command.add_option("--network", network, "Which is asked: weights | average (default: the average where the run kept one)")->check(CLI::IsMember({"weights", "average"})),
          command.add_option("--precision", precision, "Of the evaluation: float | double (default: the run's)")->check(CLI::IsMember({"float", "double"}))};
}

void AskedOptions::apply_to(SweepOptions& options, const Recording& recording) const {
  using Asked = SweepOptions::Asked;
  options.network = network == "weights" ? Asked::weights : network == "average" ? Asked::average : Asked::recorded;
  options.precision = parse_dtype(precision.empty() ? recording.manifest().dtype : precision);
}

}  // namespace pathkernel::cli
