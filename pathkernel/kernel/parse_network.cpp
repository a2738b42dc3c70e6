#include <pathkernel/core/error.h>
#include <pathkernel/kernel/network.h>
#include <pathkernel/kernel/specification.h>

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cctype>
#include <cmath>
#include <map>

namespace pathkernel {
namespace {

using namespace stax;
using Factory = LayerPtr (*)(Arguments&, const LayerDefaults&);

Window window(Arguments& a, const char* name) {
  Window w;
  if (a.word("same")) w.padding = Padding::same;
  else if (a.word("circular")) w.padding = Padding::circular;
  else a.word("valid");
  const auto strides = a.sizes("stride", /*without_key=*/false);
  const auto sizes = a.sizes("window");
  if (!sizes) throw InvalidInput(fmt::format("layer {}: the window's size is missing, e.g. {}:3x3 for images, {}:3 for signals", name, name, name));
  w.sizes = *sizes;
  w.strides = strides.value_or(std::vector<int64_t>{1});
  if (w.strides.size() == 1) w.strides.resize(w.sizes.size(), w.strides[0]);
  if (w.strides.size() != w.sizes.size()) 
    throw InvalidInput(fmt::format("layer {}: the window has {} axes, but stride has {}", name, w.sizes.size(), w.strides.size()));
  return w;
}

AffineOptions affine(Arguments& a, const LayerDefaults& defaults) {
  AffineOptions o;
  o.parametrization = a.word("standard") ? Parametrization::standard : a.word("ntk") ? Parametrization::ntk : defaults.parametrization;
  o.W_std = a.number("w", false).value_or(defaults.W_std);
  o.b_std = a.number("b", false);
  if (!o.b_std && !a.word("nobias")) o.b_std = defaults.b_std;
  return o;
}

LayerPtr make_dense(Arguments& a, const LayerDefaults& defaults) {
  AffineOptions o = affine(a, defaults);
  o.width = a.count("width").value_or(0);
  return dense(o);
}

LayerPtr make_conv(Arguments& a, const LayerDefaults& defaults) {
  AffineOptions o = affine(a, defaults);
  o.width = a.count("width", false).value_or(0);
  return conv(window(a, "conv"), o);
}

LayerPtr make_attention(Arguments& a, const LayerDefaults& defaults) {
  AttentionOptions o;
  o.mechanism = a.word("identity") ? Attention::identity : Attention::softmax;
  const std::string scaling = a.text("scale", false).value_or("linear");
  if (scaling != "linear" && scaling != "sqrt") 
    throw InvalidInput(fmt::format("layer attention: scale is \"{}\", but it is linear (1/d) or sqrt (1/√d)", scaling));
  o.linear_scaling = scaling == "linear";
  o.width = a.count("width", false).value_or(0);
  o.key_width = a.count("key", false).value_or(0);
  o.value_width = a.count("value", false).value_or(0);
  o.heads = a.count("heads", false).value_or(o.heads);
  o.W_key_std = a.number("w_key", false).value_or(1);
  o.W_value_std = a.number("w_value", false).value_or(1);
  o.W_query_std = a.number("w_query", false).value_or(1);
  o.W_out_std = a.number("w_out", false).value_or(1);
  o.b_std = a.number("b", false);
  o.samples = a.count("samples", false).value_or(o.samples);
  if (const auto seed = a.number("seed", false)) o.seed = static_cast<uint64_t>(*seed);
  if (defaults.parametrization == Parametrization::standard)
    throw InvalidInput("layer attention: only the NTK parametrisation is known; leave out --parametrization standard");
  return global_self_attention(o);
}

/// Numbers a, b, c of an activation; the defaults where fewer are given.
std::vector<double> numbers(Arguments& a, std::vector<double> defaults) {
  const std::vector<double> given = a.rest();
  if (given.size() > defaults.size()) 
    throw InvalidInput(fmt::format("{} numbers are too many; at most {} are understood", given.size(), defaults.size()));
  std::copy(given.begin(), given.end(), defaults.begin());
  return defaults;
}

double required(Arguments& a, const char* key, const char* example) {
  const auto value = a.number(key);
  if (!value) throw InvalidInput(fmt::format("a number is missing, e.g. {}", example));
  return *value;
}

int64_t degree(Arguments& a, const char* example) {
  const double value = required(a, "degree", example);
  if (value != std::floor(value) || value < 0 || value > 1e6)
    
    throw InvalidInput(fmt::format("degree is {}, but a whole number from zero up is expected", value));
  return static_cast<int64_t>(value);
}

SlopeAtJump slope(Arguments& a) { return a.word("flat") ? SlopeAtJump::flat : SlopeAtJump::delta; }

const std::map<std::string, Factory, std::less<>>& factories() {
  static const std::map<std::string, Factory, std::less<>> table = {
      {"dense", make_dense},
      {"conv", make_conv},
      {"attention", make_attention},
      {"relu", [](Arguments&, const LayerDefaults&) { return activation(relu()); }},
      {"leaky", [](Arguments& a, const LayerDefaults&) { return activation(leaky_relu(required(a, "alpha", "leaky:0.1"))); }},
      {"abs", [](Arguments&, const LayerDefaults&) { return activation(absolute_value()); }},
      {"abrelu",
       [](Arguments& a, const LayerDefaults&) {
         const auto v = numbers(a, {0, 1});
         return activation(ab_relu(v[0], v[1]));
       }},
      {"erf",
       [](Arguments& a, const LayerDefaults&) {
         const auto v = numbers(a, {1, 1, 0});
         return activation(erf_activation(v[0], v[1], v[2]));
       }},
      {"gelu", [](Arguments&, const LayerDefaults&) { return activation(gelu()); }},
      {"sin",
       [](Arguments& a, const LayerDefaults&) {
         const auto v = numbers(a, {1, 1, 0});
         return activation(sine(v[0], v[1], v[2]));
       }},
      {"cos",
       [](Arguments& a, const LayerDefaults&) {
         const auto v = numbers(a, {1, 1, 0});
         return activation(cosine(v[0], v[1], v[2]));
       }},
      {"exp",
       [](Arguments& a, const LayerDefaults&) {
         const auto v = numbers(a, {1, 1});
         return activation(exponential(v[0], v[1]));
       }},
      {"gaussian",
       [](Arguments& a, const LayerDefaults&) {
         const auto v = numbers(a, {1, -0.5});
         return activation(gaussian(v[0], v[1]));
       }},
      {"sign", [](Arguments& a, const LayerDefaults&) { return activation(sign_activation(slope(a))); }},
      {"step", [](Arguments& a, const LayerDefaults&) { return activation(step_activation(slope(a))); }},
      {"tanh", [](Arguments&, const LayerDefaults&) { return activation(tanh_activation()); }},
      {"sigmoid", [](Arguments&, const LayerDefaults&) { return activation(sigmoid_activation()); }},
      {"silu", [](Arguments&, const LayerDefaults&) { return activation(silu()); }},
      {"softplus", [](Arguments&, const LayerDefaults&) { return activation(softplus()); }},
      {"monomial", [](Arguments& a, const LayerDefaults&) { return activation(monomial(degree(a, "monomial:3"))); }},
      {"rectified", [](Arguments& a, const LayerDefaults&) { return activation(rectified_monomial(degree(a, "rectified:2"))); }},
      {"polynomial", [](Arguments& a, const LayerDefaults&) { return activation(polynomial(a.rest())); }},
      {"hermite", [](Arguments& a, const LayerDefaults&) { return activation(hermite(a.rest())); }},
      {"layernorm", [](Arguments& a, const LayerDefaults&) { return layer_norm(a.number("eps").value_or(1e-12)); }},
      {"avgpool", [](Arguments& a, const LayerDefaults&) { return avg_pool(window(a, "avgpool")); }},
      {"gap", [](Arguments&, const LayerDefaults&) { return global_avg_pool(); }},
      {"flatten", [](Arguments&, const LayerDefaults&) { return flatten(); }},
      {"identity", [](Arguments&, const LayerDefaults&) { return identity(); }},
      {"scale", [](Arguments& a, const LayerDefaults&) { return stax::scale(required(a, "scale", "scale:0.5")); }},
      {"fanout", [](Arguments& a, const LayerDefaults&) { return fan_out(a.count("count").value_or(2)); }},
      {"faninsum", [](Arguments&, const LayerDefaults&) { return fan_in_sum(); }},
  };
  return table;
}

/// Not among the names that are listed: nobody writes it by hand.
LayerPtr make_own_function(Arguments& a, const LayerDefaults&) {
  const int64_t number = a.count("number").value_or(0);
  a.text("name");
  return activation(own_function(number));
}

class Parser {
 public:
  Parser(const std::string& text, const LayerDefaults& defaults) : text_(text), defaults_(defaults) {}

  std::vector<LayerPtr> parse() {
    std::vector<LayerPtr> layers = list();
    if (at_ < text_.size()) fail(fmt::format("\"{}\" without a group before it", text_[at_]));
    return layers;
  }

 private:
  [[noreturn]] void fail(const std::string& what) const { throw InvalidInput(fmt::format("network \"{}\": {}", text_, what)); }
  char peek() {
    while (at_ < text_.size() && std::isspace(static_cast<unsigned char>(text_[at_]))) ++at_;
    return at_ < text_.size() ? text_[at_] : '\0';
  }

  /// Layers up to ), | or the end.
  std::vector<LayerPtr> list() {
    std::vector<LayerPtr> layers;
    while (peek() != '\0' && peek() != ')' && peek() != '|') layer(layers);
    return layers;
  }

  void layer(std::vector<LayerPtr>& layers) {
    const size_t begin = at_;
    while (at_ < text_.size() && !std::isspace(static_cast<unsigned char>(text_[at_])) && text_[at_] != '(' && text_[at_] != ')' && text_[at_] != '|') ++at_;
    const std::string token = text_.substr(begin, at_ - begin);
    const size_t colon = std::min(token.find(':'), token.size());
    const std::string name = token.substr(0, colon), arguments = colon < token.size() ? token.substr(colon + 1) : "";
    if (name == "residual" || name == "parallel") return group(name, arguments, layers);
    const auto found = factories().find(name);
    const Factory make = name == "function" ? make_own_function : found != factories().end() ? found->second : nullptr;
    if (make == nullptr) fail(fmt::format("there is no layer \"{}\"; there are {}, residual( … ), parallel( … | … )", name, known()));
    try {
      Arguments parsed("layer " + name, arguments);
      layers.push_back(make(parsed, defaults_));
      parsed.done();
    } catch (const InvalidInput& error) {
      const std::string message = error.what();
      fail(message.starts_with("layer ") || message.starts_with("activation ") ? message : fmt::format("layer {}: {}", token, message));
    }
  }

  /// name( list | list ... )
  void group(const std::string& name, const std::string& text, std::vector<LayerPtr>& layers) {
    Arguments arguments("layer " + name, text);
    const auto factor = name == "residual" ? arguments.number("scale") : std::nullopt;
    arguments.done();
    if (peek() != '(') fail(fmt::format("expected ( after {}", name));
    std::vector<LayerPtr> branches;
    do {
      ++at_;
      std::vector<LayerPtr> branch = list();
      if (branch.empty()) fail(fmt::format("a branch of {} is empty; write identity for one that changes nothing", name));
      if (factor) branch.push_back(stax::scale(*factor));
      branches.push_back(branch.size() == 1 ? branch[0] : serial(std::move(branch)));
    } while (peek() == '|');
    if (peek() != ')') fail(fmt::format("expected ) after the layers of {}", name));
    ++at_;
    if (name == "parallel") return layers.push_back(parallel(std::move(branches)));
    if (branches.size() != 1) fail("residual has one branch; for several write fanout:3 parallel( … | … | … ) faninsum");
    layers.insert(layers.end(), {fan_out(2), parallel({identity(), branches[0]}), fan_in_sum()});
  }

  static std::string known() {
    std::vector<std::string> names;
    for (const auto& [name, factory] : factories()) names.push_back(name);
    return fmt::format("{}", fmt::join(names, ", "));
  }

  const std::string& text_;
  const LayerDefaults& defaults_;
  size_t at_ = 0;
};

}  // namespace

Network parse_network(const std::string& text, const LayerDefaults& defaults) { return Network(Parser(text, defaults).parse()); }

}  // namespace pathkernel
