#include <pathkernel/sweep/query_infos.h>

#include <fmt/format.h>

namespace pathkernel {

std::vector<QueryInfo> infos_of_inputs(const Queries& queries, int64_t first, const Tensors& outputs, const Measurement& measurement, bool classification) {
  std::vector<QueryInfo> infos;
  const Tensor& scores = outputs[0];
  const int64_t count = scores.size(0);
  const Tensor predicted = classification && scores.numel() > count ? scores.flatten(1).argmax(1).cpu() : Tensor();
  for (int64_t i = 0; i < count; ++i) {
    for (int64_t k = 0; k < measurement.per_input(); ++k) {
      QueryInfo info = queries.info.empty() ? QueryInfo{} : queries.info[size_t(first + i)];
      info.measurement = measurement.describe(i, k);
      if (predicted.defined()) info.predicted = predicted[i].item<int64_t>();
      infos.push_back(std::move(info));
    }
  }
  return infos;
}

std::vector<QueryInfo> infos_of_sets(const Queries& queries, int64_t first, int64_t count, const Measurement& measurement) {
  std::vector<QueryInfo> infos;
  for (int64_t s = first; s < first + count; ++s) {
    const QuerySet& set = queries.sets[size_t(s)];
    for (int64_t k = 0; k < measurement.per_input(); ++k) {
      QueryInfo info;
      info.input = set.name;
      info.measurement = fmt::format("{} of {}", set.is_mean() ? "mean" : "weighted sum", measurement.describe_any(k));
      info.set_size = set.size();
      infos.push_back(std::move(info));
    }
  }
  return infos;
}

}  // namespace pathkernel
