// Recordings: made step by step, opened, repeated.

#include <pathkernel/core/error.h>
#include <pathkernel/core/hash.h>
#include <pathkernel/data/batch_order.h>
#include <pathkernel/data/relabel.h>
#include <pathkernel/record/format.h>
#include <pathkernel/record/live_run.h>
#include <pathkernel/record/replay.h>
#include <pathkernel/record/retrain.h>

#include <nlohmann/json.hpp>

#include "parts.h"
#include "progress.h"

namespace py = pybind11;

namespace pathkernel::python {
namespace {

/// A recording that is being made, and what it is made with.
struct Live {
  std::shared_ptr<Parts> parts;
  std::unique_ptr<LiveRun> run;
};

std::unique_ptr<Live> begin(const std::string& folder, std::shared_ptr<Parts> parts, const py::dict& values) {
  Manifest m;
  m.objective = values["objective"].cast<std::string>();
  m.reduction = values["reduction"].cast<std::string>();
  m.regulariser = values["regulariser"].cast<std::string>();
  m.accumulate = values["accumulate"].cast<int64_t>();
  m.ema = values["ema"].cast<double>();
  if (const py::dict average = values["average"]; !average.empty()) {
    m.average = {average["rule"].cast<std::string>(), average["decay"].cast<double>(), average["start"].cast<int64_t>(), average["every"].cast<int64_t>()};
  }
  m.batch = values["batch"].cast<int64_t>();
  m.seed = values["seed"].cast<uint64_t>();
  m.checkpoint_every = values["checkpoint_every"].cast<int64_t>();
  m.data.location = values["location"].cast<std::string>();
  m.optimizer = parts->settings;
  auto live = std::make_unique<Live>(Live{std::move(parts), nullptr});
  const py::gil_scoped_release no_gil;
  live->run = std::make_unique<LiveRun>(folder, std::move(m), live->parts->learner, live->parts->data);
  return live;
}

std::unique_ptr<Live> resume(const std::string& folder, std::shared_ptr<Parts> parts, const py::object& progress) {
  auto live = std::make_unique<Live>(Live{std::move(parts), nullptr});
  const Progress told = progress_from(progress);
  const py::gil_scoped_release no_gil;
  live->run = LiveRun::resume(folder, live->parts->learner, live->parts->data, told);
  return live;
}

RunStatus status_from(bool complete) { return complete ? RunStatus::complete : RunStatus::running; }

py::dict outcome_of(const RunOutcome& o) {
  py::dict d;
  d["status"] = format::status_name(o.status), d["first_step"] = o.first_step, d["steps"] = o.steps, d["trouble"] = o.trouble;
  d["last_loss"] = o.last_loss, d["seconds"] = o.seconds, d["recording_seconds"] = o.recording_seconds;
  return d;
}

py::dict step_of(const Recording& recording, int64_t s) {
  const StepRecord r = recording.step(s);
  py::dict d;
  d["step"] = r.step, d["indices"] = r.indices, d["seed"] = r.random_seed, d["lr"] = r.lr, d["loss"] = r.loss, d["hash"] = hex(r.hash), d["groups"] = r.groups;
  return d;
}

py::dict verification_of(const std::string& folder, Parts& parts, const py::object& progress) {
  const Progress told = progress_from(progress);
  Verification v;
  {
    const py::gil_scoped_release no_gil;
    v = verify(Recording::open(folder), parts.learner, parts.data, told);
  }
  py::dict d;
  d["steps"] = v.steps, d["first_difference"] = v.first_difference, d["environment_difference"] = v.environment_difference;
  return d;
}

using Labels = std::vector<std::pair<int64_t, std::string>>;

std::vector<Relabelling> relabellings_from(const Labels& labels) {
  std::vector<Relabelling> changes;
  for (const auto& [example, label] : labels) changes.push_back({example, label});
  return changes;
}

py::dict retrained(const std::string& folder, Parts& parts, const std::string& out, const std::vector<int64_t>& dropped, const Labels& labels, bool renormalise,
                  const py::object& progress) {
  const Progress told = progress_from(progress);
  RunOutcome outcome;
  DataChanges changes;
  changes.dropped = dropped;
  changes.relabelled = relabellings_from(labels);
  changes.renormalise = renormalise;
  {
    const py::gil_scoped_release no_gil;
    outcome = retrain_run(Recording::open(folder), out, parts.learner, parts.data, changes, told);
  }
  return outcome_of(outcome);
}

}  // namespace

void init_run(py::module_& m) {
  py::class_<Parts, std::shared_ptr<Parts>>(m, "Parts", "module, loss, optimizer and data of one training, as the engine sees them")
      .def(py::init<py::object, py::object, py::object, std::string, py::object, py::object, py::dict, py::dict>(), py::arg("module"), py::arg("forward"), py::arg("set_mode"),
           py::arg("specification"), py::arg("loss"), py::arg("optimizer"), py::arg("settings"), py::arg("data"))
      .def("relabel", [](Parts& p, const Labels& labels) { p.data = relabelled(p.data, relabellings_from(labels)); }, py::arg("labels"))
      .def_property_readonly("targets", [](const Parts& p) { return p.data.targets; })
      .def_property_readonly("fingerprint", [](const Parts& p) { return hex(fingerprint(p.data)); });

  const auto no_gil = py::call_guard<py::gil_scoped_release>();
  py::class_<Live>(m, "LiveRun", "a recording that is being made")
      .def(py::init(&begin), py::arg("folder"), py::arg("parts"), py::arg("manifest"))
      .def_static("resume", &resume, py::arg("folder"), py::arg("parts"), py::arg("progress") = py::none())
      .def("step", [](Live& live, const Tensor& indices, double lr) { return live.run->step(indices, lr); }, py::arg("indices"), py::arg("lr"), no_gil)
      .def("rehearse", [](Live& live, const Tensor& indices, double lr) { live.run->rehearse(indices, lr); }, py::arg("indices"), py::arg("lr"), no_gil)
      .def("begin", [](Live& live) { live.run->begin(); }, no_gil)
      .def("end", [](Live& live, const Tensor& indices, double lr, double loss) { live.run->end(indices, lr, loss); }, py::arg("indices"), py::arg("lr"), py::arg("loss"), no_gil)
      .def("finish", [](Live& live, bool complete) { live.run->finish(status_from(complete)); }, py::arg("complete"), no_gil)
      .def("average", [](const Live& live) {
        const WeightAverage* average = live.run->average();
        py::list named;
        for (const auto& t : average->values()) named.append(py::make_tuple(t.name, t.tensor));
        return py::make_tuple(average->updates(), named);
      })
      .def_property_readonly("steps", [](const Live& live) { return live.run->steps(); })
      .def_property_readonly("outcome", [](const Live& live) { return outcome_of(live.run->outcome()); });

  py::class_<Recording>(m, "Recording", "a recording on disk, for reading")
      .def(py::init(&Recording::open), py::arg("folder"))
      .def_property_readonly("manifest", [](const Recording& r) { return format::to_json(r.manifest()).dump(); })
      .def_property_readonly("status", [](const Recording& r) { return format::status_name(r.status()); })
      .def_property_readonly("steps", &Recording::steps)
      .def_property_readonly("checkpoint_steps", &Recording::checkpoint_steps)
      .def("step", &step_of, py::arg("s"))
      .def("parameters", [](const Recording& r, int64_t s) {
        py::list names;
        const Checkpoint c = r.checkpoint(s);
        for (const NamedTensors* list : {&c.parameters, &c.buffers})
          for (const auto& t : *list) names.append(py::make_tuple(t.name, t.tensor));
        return names;
      }, py::arg("step"));

  m.def("shuffled_batches", &shuffled_batches, py::arg("examples"), py::arg("batch"), py::arg("epochs"), py::arg("seed"));
  m.def("hash_of", [](const Tensors& tensors) { return hash_of(tensors); }, py::arg("tensors"));
  m.def("verify", &verification_of, py::arg("folder"), py::arg("parts"), py::arg("progress") = py::none());
  m.def("retrain", &retrained, py::arg("folder"), py::arg("parts"), py::arg("out"), py::arg("dropped"), py::arg("labels"), py::arg("renormalise"), py::arg("progress") = py::none());
}

}  // namespace pathkernel::python
