#include <pathkernel/data/text.h>

#include <pathkernel/core/error.h>
#include <pathkernel/core/hash.h>

#include <ATen/ops/zeros.h>
#include <fmt/format.h>

#include <cctype>
#include <cmath>
#include <string_view>

namespace pathkernel {
namespace {

bool in_word(unsigned char c) { return c >= 0x80 || std::isalnum(c) || c == '\''; }

std::vector<std::string> words_of(const std::string& text) {
  std::vector<std::string> words;
  bool inside = false;
  for (const char c : text) {
    const bool belongs = in_word(static_cast<unsigned char>(c));
    if (belongs && !inside) words.emplace_back();
    if (belongs) words.back() += c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    inside = belongs;
  }
  return words;
}

void add(float* row, int64_t buckets, std::string_view gram) {
  const uint64_t hash = hash_of_bytes(gram);
  row[(hash >> 1) % static_cast<uint64_t>(buckets)] += hash & 1 ? 1.f : -1.f;
}

void fill(float* row, int64_t buckets, const std::vector<std::string>& words) {
  for (size_t i = 0; i < words.size(); ++i) {
    add(row, buckets, words[i]);
    if (i > 0) add(row, buckets, words[i - 1] + " " + words[i]);
  }
  double square = 0;
  for (int64_t k = 0; k < buckets; ++k) square += static_cast<double>(row[k]) * row[k];
  if (square == 0) return;
  for (int64_t k = 0; k < buckets; ++k) row[k] = static_cast<float>(row[k] / std::sqrt(square));
}

}  // namespace

Tensor hashed_texts(const std::vector<std::string>& texts, int64_t buckets) {
  if (buckets < 1) throw InvalidInput(fmt::format("texts are hashed into {} buckets; give one or more", buckets));
  Tensor rows = at::zeros({static_cast<int64_t>(texts.size()), buckets}, at::TensorOptions(at::kFloat));
  for (size_t i = 0; i < texts.size(); ++i) fill(rows.mutable_data_ptr<float>() + static_cast<int64_t>(i) * buckets, buckets, words_of(texts[i]));
  return rows;
}

}  // namespace pathkernel
