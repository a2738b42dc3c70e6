// From a recording to a ledger.

#include <pathkernel/core/error.h>
#include <pathkernel/explain/answers.h>
#include <pathkernel/explain/ledger_file.h>
#include <pathkernel/explain/pages.h>
#include <pathkernel/record/recording.h>
#include <pathkernel/sweep/sweep.h>

#include "asked.h"
#include "parts.h"
#include "progress.h"

namespace py = pybind11;

namespace pathkernel::python {
namespace {

Ledger ledger_of(const std::string& folder, Parts& parts, const py::dict& asked, const py::dict& values, const py::object& progress) {
  const SweepOptions options = options_from(values);
  const Queries queries = queries_from(asked);
  const auto name = asked["specification"].cast<std::string>();
  const Progress told = progress_from(progress);
  const py::gil_scoped_release no_gil;
  Ledger ledger = sweep(Recording::open(folder), parts.learner, parts.data, queries, options, told);
  ledger.settings.queries = name;
  return ledger;
}

Tensor wrong_of(const std::string& folder, Parts& parts, const py::dict& asked, const py::dict& values) {
  const SweepOptions options = options_from(values);
  const Queries queries = queries_from(asked);
  const py::gil_scoped_release no_gil;
  return wrong_inputs(Recording::open(folder), parts.learner, parts.data, queries, options);
}

py::dict plan_of(const std::string& folder, Parts& parts, const py::dict& asked, const py::dict& values) {
  const SweepOptions options = options_from(values);
  const Queries queries = queries_from(asked);
  SweepPlan p;
  {
    const py::gil_scoped_release no_gil;
    p = plan_sweep(Recording::open(folder), parts.learner, parts.data, queries, options);
  }
  py::dict d;
  d["text"] = p.brief(), d["seconds"] = p.seconds, d["peak_bytes"] = p.peak_bytes(), d["disk_bytes"] = p.disk_bytes, d["chunks"] = p.chunks;
  d["inputs_per_chunk"] = p.inputs_per_chunk, d["parameters"] = p.parameters, d["steps"] = p.sizes.steps, d["queries"] = p.sizes.queries;
  return d;
}

py::list top_of(const Ledger& ledger, int64_t query, int64_t k) {
  const Top found = top(ledger, query, k);
  py::list both;
  for (const std::vector<Push>* side : {&found.towards, &found.away}) {
    py::list pushes;
    for (const Push& p : *side) pushes.append(py::make_tuple(p.example, p.contribution, p.share));
    both.append(pushes);
  }
  return both;
}

py::dict info_of(const QueryInfo& info) {
  py::dict d;
  d["input"] = info.input, d["measurement"] = info.measurement, d["row"] = info.row, d["target"] = info.target, d["predicted"] = info.predicted;
  d["set_size"] = info.set_size;
  return d;
}

py::object tensor_or_none(const Tensor& t) { return t.defined() ? py::cast(t) : py::none(); }

py::dict certificate_dict(const Certificate& c) {
  py::dict d;
  d["residual_to_contributions"] = tensor_or_none(c.residual_to_contributions), d["residual_to_change"] = tensor_or_none(c.residual_to_change);
  d["rounding_to_change"] = tensor_or_none(c.rounding_to_change), d["split_uncertainty"] = tensor_or_none(c.split_uncertainty);
  d["sampled_steps"] = c.sampled_steps, d["stride_deviation"] = tensor_or_none(c.stride_deviation), d["correction_share"] = c.correction_share;
  d["optimizer_mismatch"] = c.optimizer_mismatch, d["replay_exact"] = c.replay_exact, d["first_drift"] = c.first_drift;
  return d;
}

std::string page_of(const Ledger& ledger, const py::object& train, const py::object& asked, const std::string& title, int64_t top, const std::string& missing) {
  Source source;
  source.missing = missing;
  if (!train.is_none()) source.data = TrainTest{dataset_from(train), dataset_from(asked)};
  ReportOptions options;
  options.title = title;
  options.top = top;
  return report_page(ledger, source, options);
}

}  // namespace

void init_sweep(py::module_& m) {
  py::class_<Ledger> ledger(m, "Ledger", "every prediction as a sum over training examples, as tensors; see pathkernel.Ledger");
  const std::pair<const char*, Tensor Ledger::*> tensors[] = {
      {"contributions", &Ledger::contributions}, {"kept", &Ledger::kept}, {"kept_examples", &Ledger::kept_examples}, {"dropped", &Ledger::dropped},
      {"dropped_size", &Ledger::dropped_size}, {"dropped_count", &Ledger::dropped_count}, {"initial", &Ledger::initial}, {"final", &Ledger::final},
      {"decay", &Ledger::decay}, {"regulariser", &Ledger::regulariser}, {"in_flight", &Ledger::in_flight}, {"buffers", &Ledger::buffers},
      {"jumps", &Ledger::jumps}, {"rounding", &Ledger::rounding}, {"residual", &Ledger::residual}, {"draws", &Ledger::draws},
      {"draw_step", &Ledger::draw_step}, {"draw_example", &Ledger::draw_example}, {"by_step", &Ledger::by_step}, {"by_layer", &Ledger::by_layer},
      {"by_class", &Ledger::by_class}, {"by_layer_step", &Ledger::by_layer_step}, {"by_class_step", &Ledger::by_class_step},
      {"outputs", &Ledger::outputs}, {"path_kernel", &Ledger::path_kernel},
      {"statistics", &Ledger::statistics}, {"first_statistics", &Ledger::first_statistics}};
  for (const auto& [name, field] : tensors)
    ledger.def_property_readonly(name, [field = field](const Ledger& l) { return tensor_or_none(l.*field); });
  ledger.def_property_readonly("queries", [](const Ledger& l) {
          py::list all;
          for (const QueryInfo& info : l.queries) all.append(info_of(info));
          return all;
        })
      .def_readonly("layers", &Ledger::layers)
      .def_readonly("classes", &Ledger::classes)
      .def_property_readonly("certificate", [](const Ledger& l) { return certificate_dict(l.certificate); })
      .def_property_readonly("brief", [](const Ledger& l) { return l.settings.summary_of(l.certificate); })
      .def_property_readonly("measure", [](const Ledger& l) { return l.settings.measure; })
      .def_property_readonly("recording", [](const Ledger& l) { return l.settings.recording; })
      .def_property_readonly("residual_of_rounding", &Ledger::residual_of_rounding)
      .def("total", &Ledger::total)
      .def("total_size", &Ledger::total_size)
      .def("top", &top_of, py::arg("query"), py::arg("k"))
      .def("save", [](const Ledger& l, const std::string& folder) { save(l, folder); }, py::arg("folder"), py::call_guard<py::gil_scoped_release>())
      .def("page", &page_of, py::arg("train"), py::arg("asked"), py::arg("title"), py::arg("top"), py::arg("missing"));
  m.def("load_ledger", &load_ledger, py::arg("folder"), py::call_guard<py::gil_scoped_release>());
  m.def("sweep", &ledger_of, py::arg("folder"), py::arg("parts"), py::arg("queries"), py::arg("options"), py::arg("progress") = py::none());
  m.def("plan", &plan_of, py::arg("folder"), py::arg("parts"), py::arg("queries"), py::arg("options"));
  m.def("wrong", &wrong_of, py::arg("folder"), py::arg("parts"), py::arg("queries"), py::arg("options"));
}

}  // namespace pathkernel::python
