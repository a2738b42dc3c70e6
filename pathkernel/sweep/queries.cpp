#include <pathkernel/sweep/queries.h>

#include <ATen/ops/tensor.h>
#include <fmt/format.h>
#include <pathkernel/core/error.h>
#include <pathkernel/data/npy.h>
#include <pathkernel/data/row_ranges.h>

#include <sstream>

namespace pathkernel {
namespace {

std::vector<int64_t> row_numbers(const std::string& list, const std::string& specification, int64_t size) {
  std::vector<int64_t> rows;
  if (list == "all") {
    for (int64_t k = 0; k < size; ++k) rows.push_back(k);
    return rows;
  }
  std::stringstream pieces(list);
  for (std::string piece; std::getline(pieces, piece, ',');) {
    const RowRange range = parse_row_range(piece, fmt::format("queries '{}'", specification), size);
    for (int64_t k = range.first; k <= range.last; ++k) rows.push_back(k);
  }
  if (rows.empty()) throw InvalidInput(fmt::format("queries '{}': no rows are named; write for example test:0-15", specification));
  return rows;
}

Queries from_part(const std::string& specification, const std::string& part, const std::string& list, const Dataset& data) {
  if (data.size() == 0) throw InvalidInput(fmt::format("queries '{}': the data have no {} part; ask about train:ROWS, or FILE.npy with inputs", specification, part));
  const std::vector<int64_t> rows = row_numbers(list, specification, data.size());
  const Tensor indices = at::tensor(rows, at::kLong);
  Queries queries;
  queries.inputs = {data.inputs.index_select(0, indices)};
  queries.targets = data.targets.index_select(0, indices);
  for (const int64_t row : rows) {
    QueryInfo info;
    info.input = fmt::format("{}:{}", part, row);
    info.part = part;
    info.row = row;
    if (data.is_classification()) info.target = data.targets[row].item<int64_t>();
    queries.info.push_back(std::move(info));
  }
  return queries;
}

Queries from_file(const std::string& path, const Dataset& train) {
  const Tensor inputs = read_npy(path);
  const auto expected = train.inputs.sizes().slice(1);
  if (inputs.dim() < 1 || inputs.size(0) == 0 || inputs.sizes().slice(1) != expected) {
    throw InvalidInput(fmt::format("queries '{}': the file holds {}, but the network's inputs are [n, {}]", path, describe(inputs), fmt::join(expected.begin(), expected.end(), ", ")));
  }
  if (!at::isFloatingType(inputs.scalar_type())) throw InvalidInput(fmt::format("queries '{}': the file holds {}, but inputs are floating point", path, describe(inputs)));
  if (!inputs.isfinite().all().item<bool>()) throw InvalidInput(fmt::format("queries '{}': the file holds NaN or infinite numbers", path));
  Queries queries;
  queries.inputs = {inputs};
  for (int64_t row = 0; row < inputs.size(0); ++row) {
    QueryInfo info;
    info.input = fmt::format("{}:{}", path.substr(path.find_last_of('/') + 1), row);
    info.part = path;
    info.row = row;
    queries.info.push_back(std::move(info));
  }
  return queries;
}

}  // namespace

Queries select_queries(const std::string& specification, const TrainTest& data) {
  if (specification.rfind("test:", 0) == 0) return from_part(specification, "test", specification.substr(5), data.test);
  if (specification.rfind("train:", 0) == 0) return from_part(specification, "train", specification.substr(6), data.train);
  if (specification.size() > 4 && specification.substr(specification.size() - 4) == ".npy") return from_file(specification, data.train);
  throw InvalidInput(fmt::format("queries '{}': not understood; write test:ROWS, train:ROWS (0-15, 3,5,9 or all) or FILE.npy", specification));
}

}  // namespace pathkernel
