// Work on the data: scores from checkpoints, an audit of the labels, what retraining changed.

#include <pathkernel/explain/audit.h>
#include <pathkernel/explain/audit_files.h>
#include <pathkernel/explain/comparison.h>
#include <pathkernel/record/recording.h>
#include <pathkernel/sweep/tracin.h>

#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>

#include "asked.h"
#include "parts.h"
#include "progress.h"

namespace py = pybind11;

namespace pathkernel::python {
namespace {

Ledger scores_of(const std::string& folder, Parts& parts, const py::dict& asked, const py::dict& values, const py::object& progress) {
  const TracInOptions options{.measure = values["measure"].cast<std::string>(), .checkpoints = values["checkpoints"].cast<int64_t>(), .fewer = true,
                              .memory = values["memory"].cast<int64_t>(), .measurement = measurement_from(values["measurement"])};
  const Queries queries = queries_from(asked);
  const auto name = asked["specification"].cast<std::string>();
  const Progress told = progress_from(progress);
  const py::gil_scoped_release no_gil;
  Ledger ledger = tracin(Recording::open(folder), parts.learner, parts.data, queries, options, told).ledger;
  ledger.settings.queries = name;
  return ledger;
}

/// An audit, with the data it is about.
struct Audited {
  Audit audit;
  std::shared_ptr<Parts> parts;
  LabelFlips flips;
};

Audited audit_of(const std::string& folder, std::shared_ptr<Parts> parts, const py::dict& asked, int64_t stride, int64_t checkpoints, int64_t memory, const py::object& progress) {
  const Queries queries = queries_from(asked);
  const auto name = asked["specification"].cast<std::string>();
  const Progress told = progress_from(progress);
  const py::gil_scoped_release no_gil;
  const Recording recording = Recording::open(folder);
  Audit audit = make_audit(recording, parts->learner, parts->data, queries, name, {stride, checkpoints, memory}, told);
  return {std::move(audit), std::move(parts), recording.manifest().data.flips};
}

py::list methods_of(const Audited& a) {
  py::list all;
  for (const AuditMethod& m : a.audit.methods) all.append(py::make_tuple(m.name, m.meaning, m.scores));
  return all;
}

std::vector<Detection> detections_of(const Audited& a, const std::vector<int64_t>& planted, const std::vector<int64_t>& k) {
  const Tensor errors = at::zeros({a.parts->data.size()}, at::kBool).index_fill_(0, at::tensor(planted, at::kLong), true);
  std::vector<Detection> all;
  for (const AuditMethod& m : a.audit.methods) all.push_back(detection(m, errors, k));
  return all;
}

py::dict detections_dict(const Audited& a, const std::vector<int64_t>& planted, const std::vector<int64_t>& k) {
  py::dict by_name;
  for (const Detection& d : detections_of(a, planted, k)) by_name[py::str(d.method)] = py::make_tuple(d.auc, d.precision);
  return by_name;
}

/// @param train  the training data as a page shows them: {name, inputs, targets, class_names}
std::string page_of(const Audited& a, const std::string& by, const py::dict& train, int64_t count) {
  AuditPageOptions options;
  options.count = count;
  const std::vector<int64_t> k = a.flips.empty() ? std::vector<int64_t>{} : std::vector<int64_t>{static_cast<int64_t>(a.flips.examples.size())};
  return audit_page(a.audit, a.audit.method(by), dataset_from(train), a.flips, k.empty() ? std::vector<Detection>{} : detections_of(a, a.flips.examples, k), k, options);
}

py::dict comparison_of(const std::string& folder, const std::string& other, Parts& parts, const py::dict& asked, const Ledger& ledger, const py::object& measurement) {
  const Queries queries = queries_from(asked);
  const MakeMeasurement make = measurement_from(measurement);
  Comparison c;
  {
    const py::gil_scoped_release no_gil;
    c = compare(Recording::open(folder), Recording::open(other), parts.learner, parts.data, queries, ledger, make);
  }
  py::list rows;
  for (const ComparedQuery& q : c.queries) {
    py::dict row;
    row["input"] = q.info.input, row["measurement"] = q.info.measurement, row["target"] = q.info.target, row["predicted"] = q.info.predicted, row["predicted_then"] = q.predicted;
    row["before"] = q.before, row["after"] = q.after, row["dropped_contributed"] = q.dropped, row["relabelled_contributed"] = q.relabelled;
    rows.append(row);
  }
  py::dict d;
  d["dropped"] = c.dropped, d["relabelled"] = c.relabelled, d["queries"] = rows, d["correlation"] = c.correlation, d["rank_correlation"] = c.rank_correlation, d["words"] = c.words();
  return d;
}

}  // namespace

void init_audit(py::module_& m) {
  py::class_<Audited>(m, "Audit", "training examples ranked by how suspect their labels are; see pathkernel.Audit")
      .def_property_readonly("methods", &methods_of)
      .def_property_readonly("by_class", [](const Audited& a) { return a.audit.by_class; })
      .def_property_readonly("classes", [](const Audited& a) { return a.audit.classes; })
      .def_property_readonly("predicted", [](const Audited& a) { return a.audit.predicted; })
      .def("detections", &detections_dict, py::arg("planted"), py::arg("k"))
      .def("csv", [](const Audited& a, const std::string& by, int64_t count) { return suspects_csv(a.audit, a.audit.method(by), a.parts->data, a.flips, count); }, py::arg("by"),
           py::arg("count"))
      .def("page", &page_of, py::arg("by"), py::arg("train"), py::arg("count"));
  m.def("audit", &audit_of, py::arg("folder"), py::arg("parts"), py::arg("queries"), py::arg("stride"), py::arg("checkpoints"), py::arg("memory"),
        py::arg("progress") = py::none());
  m.def("tracin", &scores_of, py::arg("folder"), py::arg("parts"), py::arg("queries"), py::arg("options"), py::arg("progress") = py::none());
  m.def("compare", &comparison_of, py::arg("folder"), py::arg("other"), py::arg("parts"), py::arg("queries"), py::arg("ledger"), py::arg("measurement"));
}

}  // namespace pathkernel::python
