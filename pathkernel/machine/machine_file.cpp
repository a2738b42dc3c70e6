#include <pathkernel/machine/machine_file.h>

#include <pathkernel/core/error.h>
#include <pathkernel/core/hash.h>
#include <pathkernel/core/json.h>
#include <pathkernel/core/made_folder.h>
#include <pathkernel/data/safetensors.h>

#include <ATen/ops/scalar_tensor.h>
#include <fmt/format.h>

#include <filesystem>

namespace pathkernel {
namespace {

namespace fs = std::filesystem;

constexpr const char* format_name = "pathkernel machine";
constexpr const char* format_version = "1";

Tensor number(double value) { return at::scalar_tensor(value, at::kDouble); }
Tensor whole(int64_t value) { return at::scalar_tensor(value, at::kLong); }

/// Names every tensor of a machine once, for writing and for reading. Sizes have a letter a dimension, which must be the same size wherever it stands; '2' is two.
template <class Visitor>
void visit_tensors(Visitor& v, KernelExpansion& m) { v.tensor("alpha", m.alpha, "nk"); }

template <class Visitor>
void visit_factor(Visitor& v, Cholesky& factor) {
  v.tensor("factor", factor.L, "nn");
  v.number("jitter", factor.jitter);
}

template <class Visitor>
void visit_tensors(Visitor& v, GaussianProcess& m) {
  v.tensor("alpha", m.alpha, "nk");
  v.number("noise", m.noise);
  v.number("log_evidence", m.log_evidence);
  visit_factor(v, m.factor);
}

template <class Visitor>
void visit_tensors(Visitor& v, LaplaceBinary& m) {
  v.tensor("mode", m.mode, "n");
  v.tensor("gradient", m.gradient, "n");
  v.tensor("root", m.root, "n");
  v.number("log_evidence", m.log_evidence);
  visit_factor(v, m.factor);
}

template <class Visitor>
void visit_tensors(Visitor& v, LaplaceMulticlass& m) {
  v.tensor("mode", m.mode, "Cn");
  v.tensor("gradient", m.gradient, "Cn");
  v.tensor("E", m.E, "Cnn");
  v.number("log_evidence", m.log_evidence);
  visit_factor(v, m.factor);
}

template <class Visitor>
void visit_tensors(Visitor& v, Svm& m) {
  v.count("examples", m.examples);
  v.count("class_count", m.classes);
  v.indices("support", m.support, "s");
  v.indices("per_class", m.per_class, "C");
  v.tensor("coefficients", m.coefficients, "ds");
  v.tensor("rho", m.rho, "p");
  v.optional("sigmoids", m.sigmoids, "2p");
}

template <class Visitor>
void visit_tensors(Visitor& v, KernelPca& m) {
  v.tensor("directions", m.directions, "nc");
  v.tensor("variances", m.variances, "c");
  v.tensor("explained", m.explained, "c");
  v.tensor("column_means", m.column_means, "n");
  v.number("mean", m.mean);
}

template <class Visitor>
void visit_tensors(Visitor& v, FourierExpansion& m) {
  v.tensor("weights", m.weights, "Dk");
  v.count("input_count", m.inputs);
  v.count("directions", m.directions);
  auto seed = static_cast<int64_t>(m.seed);
  v.count("seed", seed);
  m.seed = static_cast<uint64_t>(seed);
}

template <class Visitor>
void visit_tensors(Visitor& v, Finetuned& m) {
  v.tensor("alpha", m.alpha, "nO");
  v.tensor("mean", m.offset, "O");
  v.tensor("change", m.change, "P");
  v.optional("factor", m.factor.L, "rr");
  v.optional("root", m.H, "nOO");
  for (const auto& [name, value] : {std::pair("prior", &m.prior), std::pair("noise", &m.noise), std::pair("log_evidence", &m.log_evidence), std::pair("jitter", &m.factor.jitter),
                                    std::pair("residual", &m.residual), std::pair("unexplained", &m.unexplained)})
    v.number(name, *value);
  v.count("iterations", m.iterations);
  for (const auto& [name, flag] : {std::pair("is_classes", &m.classes), std::pair("from_network", &m.from_network), std::pair("converged", &m.converged)}) {
    int64_t whole = *flag ? 1 : 0;
    v.count(name, whole);
    *flag = whole != 0;
  }
}

constexpr const char* parameter_prefix = "network.parameter.";
constexpr const char* buffer_prefix = "network.buffer.";

void add_network(NamedTensors& list, const KeptNetwork& network) {
  for (const auto& [name, tensor] : network.parameters) list.push_back({parameter_prefix + name, tensor});
  for (const auto& [name, tensor] : network.buffers) list.push_back({buffer_prefix + name, tensor});
}

KeptNetwork network_in(const SafetensorsFile& file, const std::string& specification) {
  KeptNetwork network{specification, {}, {}};
  for (const auto& [name, tensor] : file.tensors)
    for (const auto& [prefix, list] : {std::pair(std::string(parameter_prefix), &network.parameters), std::pair(std::string(buffer_prefix), &network.buffers)})
      if (name.starts_with(prefix)) list->push_back({name.substr(prefix.size()), tensor});
  return network;
}

class Writer {
 public:
  void tensor(const char* name, Tensor& t, const char*) { list.push_back({name, t}); }
  void indices(const char* name, Tensor& t, const char*) { list.push_back({name, t}); }
  void optional(const char* name, Tensor& t, const char*) {
    if (t.defined()) list.push_back({name, t});
  }
  void number(const char* name, double& value) { list.push_back({name, pathkernel::number(value)}); }
  void count(const char* name, int64_t& value) { list.push_back({name, whole(value)}); }

  NamedTensors list;
};

class Reader {
 public:
  Reader(const SafetensorsFile& file, std::string path) : file_(file), path_(std::move(path)) {}

  void tensor(const char* name, Tensor& t, const char* sizes) { t = read(name, at::kDouble, sizes); }
  void indices(const char* name, Tensor& t, const char* sizes) { t = read(name, at::kLong, sizes); }
  void optional(const char* name, Tensor& t, const char* sizes) {
    if (file_.has(name)) tensor(name, t, sizes);
  }
  void number(const char* name, double& value) { value = read(name, at::kDouble, "").item<double>(); }
  void count(const char* name, int64_t& value) { value = read(name, at::kLong, "").item<int64_t>(); }
  [[noreturn]] void refuse(const std::string& what) const { throw CorruptData(fmt::format("{}: {}; the file is damaged, fit the machine again", path_, what)); }

 private:
  const Tensor& read(const char* name, at::ScalarType dtype, const std::string& sizes) {
    if (!file_.has(name)) refuse(fmt::format("tensor '{}' is missing", name));
    const Tensor& t = file_.at(name);
    bool fits = t.scalar_type() == dtype && t.dim() == static_cast<int64_t>(sizes.size());
    for (size_t d = 0; fits && d < sizes.size(); ++d) {
      const int64_t size = t.size(static_cast<int64_t>(d));
      const int64_t expected = sizes[d] == '2' ? 2 : sizes_.emplace(sizes[d], size).first->second;
      fits = size == expected;
    }
    if (!fits) refuse(fmt::format("tensor '{}' is {}, which does not fit the others", name, describe(t)));
    return t;
  }

  const SafetensorsFile& file_;
  std::string path_;
  std::map<char, int64_t> sizes_;
};

TrainedMachine::Fitted empty_of(const std::string& type, const Reader& reader) {
  const TrainedMachine::Fitted all[] = {KernelExpansion{}, GaussianProcess{}, LaplaceBinary{}, LaplaceMulticlass{}, Svm{}, KernelPca{}, FourierExpansion{}, Finetuned{}};
  for (const TrainedMachine::Fitted& one : all)
    if (type == TrainedMachine::type_of(one)) return one;
  reader.refuse(fmt::format("there is no machine of the type '{}'", type));
}

std::string path_in(const std::string& folder) { return (fs::path(folder) / "machine.safetensors").string(); }

/// What predictions rely on beyond sizes.
void check(const Svm& m, const Reader& reader) {
  const int64_t s = m.support.size(0), C = m.classes;
  if (C < 2 || m.per_class.size(0) != C || m.coefficients.size(0) != C - 1 || m.rho.size(0) != C * (C - 1) / 2 || m.per_class.sum().item<int64_t>() != s ||
      m.per_class.min().item<int64_t>() < 0 || s == 0 || m.support.min().item<int64_t>() < 0 || m.support.max().item<int64_t>() >= m.examples)
    reader.refuse("the support vectors do not fit the classes");
}

void check(const TrainedMachine& machine, const Reader& reader) {
  if (const auto* svm = std::get_if<Svm>(&machine.fitted)) check(*svm, reader);
  if (const auto* laplace = std::get_if<LaplaceMulticlass>(&machine.fitted); laplace != nullptr && laplace->mode.size(0) != static_cast<int64_t>(machine.classes.size()))
    reader.refuse("the classes' names do not fit the machine");
  if (machine.offset.defined() ? machine.offset.dim() != 1 : machine.fitted.index() <= 1 || std::holds_alternative<FourierExpansion>(machine.fitted))
    reader.refuse("the offset does not fit the machine");
  if (const auto* f = std::get_if<Finetuned>(&machine.fitted)) {
    const int64_t rows = f->alpha.numel(), weights = machine.network ? count_numbers(machine.network->parameters) : 0;
    if (!machine.network || f->change.numel() != weights || (f->exact() && f->factor.L.size(0) != rows) || (f->classes && !f->H.defined()))
      reader.refuse("the fit does not go with its network");
  }
  if (machine.columns() > 0 && (!machine.kernel.empty() || machine.network) && (!machine.inputs.defined() || machine.inputs.dim() < 2 || machine.inputs.size(0) != machine.columns()))
    reader.refuse("the examples do not fit the machine");
}

/// The machine with what it does not need left out.
TrainedMachine as_written(const TrainedMachine& machine) {
  TrainedMachine out = machine;
  const auto* svm = std::get_if<Svm>(&machine.fitted);
  if (svm == nullptr || (machine.kernel.empty() && !machine.network)) return out;
  if (machine.inputs.size(0) == svm->examples) out.inputs = machine.inputs.index_select(0, svm->support);
  out.fitted = svm->compact();
  return out;
}

}  // namespace

void save_machine(const std::string& folder, const TrainedMachine& machine) {
  if (names_own_function(machine.kernel))
    throw InvalidInput(fmt::format("{}: its kernel {} has a function of the program's own in it, which a file cannot hold; only this program, while it runs, can ask the machine", machine.kind, machine.kernel));
  TrainedMachine m = as_written(machine);
  Writer writer;
  std::visit([&](auto& fitted) { visit_tensors(writer, fitted); }, m.fitted);
  if (m.offset.defined()) writer.list.push_back({"offset", m.offset});
  if (m.inputs.defined()) writer.list.push_back({"inputs", m.inputs});
  if (m.network) add_network(writer.list, *m.network);
  std::map<std::string, std::string> metadata = {{"format", format_name}, {"version", format_version}, {"type", TrainedMachine::type_of(m.fitted)}, {"kind", m.kind},
                                                       {"kernel", m.kernel}, {"classes", nlohmann::json(m.classes).dump()},
                                                       {"numbers", nlohmann::json(m.numbers).dump()}, {"hash", hex(hash_of(values(writer.list)))}};
  if (m.network) metadata["network"] = m.network->specification;
  MadeFolder made(folder);
  write_safetensors(path_in(folder), writer.list, metadata);
  made.keep();
}

TrainedMachine load_machine(const std::string& folder) {
  const std::string path = path_in(folder);
  if (!fs::exists(path)) throw InvalidInput(fmt::format("'{}' holds no machine.safetensors; pathkernel machine fit writes one", folder));
  const SafetensorsFile file = read_safetensors(path);
  Reader reader(file, path);
  const auto text = [&](const char* key) {
    const auto found = file.metadata.find(key);
    if (found == file.metadata.end()) reader.refuse(fmt::format("'{}' is missing in the metadata", key));
    return found->second;
  };
  if (text("format") != format_name) throw CorruptData(fmt::format("{} is a {}, not a {}", path, text("format"), format_name));
  if (text("version") != format_version)
    throw CorruptData(fmt::format("{} is of version {}; this program reads version {}. Fit the machine again, or use the program that wrote it", path, text("version"), format_version));
  if (text("hash") != hex(hash_of(values(file.tensors)))) reader.refuse("the tensors are not those that were written (their checksum differs)");
  TrainedMachine machine;
  machine.kind = text("kind");
  machine.kernel = text("kernel");
  try {
    machine.classes = parse_json(text("classes"), "the classes in " + path).get<std::vector<std::string>>();
    machine.numbers = parse_json(text("numbers"), "the numbers in " + path).get<std::map<std::string, double>>();
  } catch (const nlohmann::json::exception&) {
    reader.refuse("classes or numbers in the metadata are not what is expected");
  }
  machine.fitted = empty_of(text("type"), reader);
  std::visit([&](auto& fitted) { visit_tensors(reader, fitted); }, machine.fitted);
  if (file.has("offset")) machine.offset = file.at("offset");
  if (file.has("inputs")) machine.inputs = file.at("inputs");
  if (const auto specification = file.metadata.find("network"); specification != file.metadata.end()) machine.network = network_in(file, specification->second);
  check(machine, reader);
  return machine;
}

}  // namespace pathkernel
