// The representer expansion of a run of plain SGD.

#include <pathkernel/record/recording.h>
#include <pathkernel/sweep/representer.h>

#include "asked.h"
#include "parts.h"
#include "progress.h"

namespace py = pybind11;

namespace pathkernel::python {
namespace {

py::list expansion_of(const std::string& folder, Parts& parts, const py::dict& asked, const py::dict& values, const std::string& rule, int64_t from, int64_t until,
                      const py::object& progress) {
  const RepresenterOptions options{GradientRule::parse(rule, 1), values["measure"].cast<std::string>(), measurement_from(values["measurement"]), from, until, progress_from(progress)};
  const Queries queries = queries_from(asked);
  std::vector<RepresenterStep> steps;
  {
    const py::gil_scoped_release no_gil;
    representer(Recording::open(folder), parts.learner, parts.data, queries, options, [&](const RepresenterStep& s) { steps.push_back(s); });
  }
  py::list all;
  for (const RepresenterStep& s : steps) {
    py::dict d;
    d["step"] = s.step, d["rate"] = s.rate, d["examples"] = s.examples, d["alpha"] = s.alpha, d["kernel"] = s.kernel;
    all.append(d);
  }
  return all;
}

}  // namespace

void init_representer(py::module_& m) {
  m.def("representer", &expansion_of, py::arg("folder"), py::arg("parts"), py::arg("queries"), py::arg("options"), py::arg("rule"), py::arg("start"), py::arg("until"),
        py::arg("progress") = py::none());
}

}  // namespace pathkernel::python
