#include <pathkernel/core/error.h>
#include <pathkernel/kernel/classical.h>
#include <pathkernel/kernel/kernel.h>
#include <pathkernel/kernel/network.h>
#include <pathkernel/kernel/specification.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <cctype>
#include <charconv>
#include <map>

namespace pathkernel {
namespace {

using Factory = KernelPtr (*)(Arguments&);

Tensor lengthscale(Arguments& a) { return a.numbers("lengthscale").value_or(unit_lengthscale()); }

const std::map<std::string, Factory, std::less<>>& factories() {
  static const std::map<std::string, Factory, std::less<>> table = {
      {"constant", [](Arguments& a) { return constant_kernel(a.number("value").value_or(1)); }},
      {"linear", [](Arguments& a) { return linear_kernel(lengthscale(a)); }},
      {"polynomial",
       [](Arguments& a) {
         const int64_t degree = a.count("degree").value_or(3);
         const double gamma = a.number("gamma").value_or(1);
         return polynomial_kernel(degree, gamma, a.number("coef0").value_or(1));
       }},
      {"rbf", [](Arguments& a) { return rbf_kernel(lengthscale(a)); }},
      {"laplace",
       [](Arguments& a) {
         const Tensor l = lengthscale(a);
         return laplace_kernel(l, a.count("norm").value_or(2));
       }},
      {"matern",
       [](Arguments& a) {
         const double nu = a.number("nu").value_or(1.5);
         return matern_kernel(nu, lengthscale(a));
       }},
      {"rq",
       [](Arguments& a) {
         const Tensor l = lengthscale(a);
         return rational_quadratic_kernel(l, a.number("alpha").value_or(1));
       }},
      {"periodic",
       [](Arguments& a) {
         const Tensor l = lengthscale(a);
         return periodic_kernel(l, a.numbers("period").value_or(unit_lengthscale()));
       }},
      {"cosine", [](Arguments&) { return cosine_kernel(); }},
  };
  return table;
}

/// Recursive descent over the grammar in kernel.h.
class Parser {
 public:
  explicit Parser(const std::string& text) : text_(text) {}

  KernelPtr parse() {
    KernelPtr kernel = sum();
    if (peek() != '\0') fail("expected + or * or the end");
    return kernel;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const {
    throw InvalidInput(fmt::format("kernel \"{}\": {} at \"{}\"; for example 0.5*rbf:1.5 + linear", text_, what,
                                   at_ < text_.size() ? text_.substr(at_) : "the end"));
  }
  char peek() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }
  bool accept(char c) {
    if (peek() != c) return false;
    ++at_;
    return true;
  }

  KernelPtr sum() {
    std::vector<KernelPtr> terms = {product()};
    while (accept('+')) terms.push_back(product());
    return sum_of(std::move(terms));
  }

  KernelPtr product() {
    double scale = 1;
    bool has_scale = false;
    std::vector<KernelPtr> factors;
    do {
      if (std::isdigit(static_cast<unsigned char>(peek())) || peek() == '.' || peek() == '-') scale *= number(), has_scale = true;
      else factors.push_back(factor());
    } while (accept('*'));
    if (factors.empty()) return constant_kernel(scale);
    KernelPtr kernel = product_of(std::move(factors));
    return has_scale ? scaled(scale, std::move(kernel)) : kernel;
  }

  KernelPtr factor() {
    if (accept('(')) {
      KernelPtr kernel = sum();
      if (!accept(')')) fail("expected )");
      return kernel;
    }
    const std::string name = word();
    if (name == "ntk" || name == "nngp") return network(name);
    const auto found = factories().find(name);
    if (found == factories().end())
      throw InvalidInput(fmt::format("kernel \"{}\": there is no kernel \"{}\"; there are {}", text_, name, fmt::join(kernel_names(), ", ")));
    Arguments arguments("kernel " + name, at_ < text_.size() && text_[at_] == ':' ? argument_text() : std::string());
    KernelPtr kernel = found->second(arguments);
    arguments.done();
    return kernel;
  }

  std::string word() {
    peek();
    const size_t begin = at_;
    while (at_ < text_.size() && (std::isalnum(static_cast<unsigned char>(text_[at_])) || text_[at_] == '_')) ++at_;
    if (at_ == begin) fail("expected a kernel's name, a number or (");
    return text_.substr(begin, at_ - begin);
  }

  double number() {
    double value = 0;
    const auto [end, error] = std::from_chars(text_.data() + at_, text_.data() + text_.size(), value);
    if (error != std::errc{}) fail("expected a number");
    if (!(value >= 0)) fail("a kernel may not be multiplied by a negative number");
    at_ = static_cast<size_t>(end - text_.data());
    return value;
  }

  /// What follows a colon, up to a blank or an operator outside of brackets. The + of 1e+05 is no operator.
  std::string argument_text() {
    const size_t begin = ++at_;
    int depth = 0;
    for (; at_ < text_.size(); ++at_) {
      const char c = text_[at_];
      depth += c == '[' ? 1 : c == ']' ? -1 : 0;
      const bool exponent = c == '+' && at_ > begin + 1 && (text_[at_ - 1] == 'e' || text_[at_ - 1] == 'E') && std::isdigit(static_cast<unsigned char>(text_[at_ - 2]));
      if (depth == 0 && !exponent && (std::isspace(static_cast<unsigned char>(c)) || c == '+' || c == '*' || c == ')' || c == '(')) break;
    }
    return text_.substr(begin, at_ - begin);
  }

  KernelPtr network(const std::string& name) {
    if (!accept('(')) fail(fmt::format("expected the layers in parentheses, {}(dense relu dense),", name));
    const size_t begin = at_;
    for (int depth = 1; at_ < text_.size(); ++at_) {
      depth += text_[at_] == '(' ? 1 : text_[at_] == ')' ? -1 : 0;
      if (depth > 0) continue;
      const std::string layers = text_.substr(begin, at_++ - begin);
      return network_kernel(parse_network(layers), name == "ntk" ? Limit::ntk : Limit::nngp);
    }
    fail("expected ) after the layers");
  }

  const std::string& text_;
  size_t at_ = 0;
};

}  // namespace

KernelPtr parse_kernel(const std::string& text) { return Parser(text).parse(); }

std::vector<std::string> kernel_names() {
  std::vector<std::string> names;
  for (const auto& [name, factory] : factories()) names.push_back(name);
  names.insert(names.end(), {"ntk", "nngp"});
  return names;
}

}  // namespace pathkernel
