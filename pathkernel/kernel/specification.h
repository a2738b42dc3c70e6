#pragma once

#include <pathkernel/core/tensors.h>

#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace pathkernel {

/// What stands behind a name in a text such as "conv:3x3,same,w=1.5" or "rbf:lengthscale=[1 2 0.5]": values separated by commas,
/// some with a key. Each is asked for once, in the order in which it may stand without its key; done() refuses what nobody asked for.
class Arguments {
 public:
  /// @param owner  how messages call it, e.g. `layer "conv:3x3"`   @param text  what follows the colon
  Arguments(std::string owner, std::string_view text);

  /// Whether this word stands there by itself. Words are asked for before values, which would take them.
  bool word(const std::string& word);
  /// The value of `key=…`, else (`without_key`) the next value that has none, else nothing.
  std::optional<std::string> text(const std::string& key, bool without_key = true);
  /// @throws InvalidInput, these and the others, for text that is not what is asked for
  std::optional<double> number(const std::string& key, bool without_key = true);
  std::optional<int64_t> count(const std::string& key, bool without_key = true);               ///< a positive whole number
  std::optional<std::vector<int64_t>> sizes(const std::string& key, bool without_key = true);  ///< positive whole numbers, "3" or "3x5"
  std::optional<Tensor> numbers(const std::string& key);                                       ///< float64: "2" is [], "[1 2 3]" is [3]
  /// All values that are left and have no key.
  std::vector<double> rest();
  /// @throws InvalidInput naming what is left and what would have been understood
  void done() const;

 private:
  struct Argument { std::string key, value; };
  std::optional<std::string> take(const std::string& key, bool without_key);
  double to_number(const std::string& key, const std::string& text) const;
  int64_t to_count(const std::string& key, const std::string& text) const;

  std::string owner_;
  std::vector<Argument> left_;
  std::vector<std::string> known_;
};

/// The shortest text that reads back as the same double: "1.5", "1e-05".
std::string print_number(double value);
/// "1.5" for [], "[1 2 0.5]" for [d].
std::string print_numbers(const Tensor& value);

}  // namespace pathkernel
