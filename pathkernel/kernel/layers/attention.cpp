#include <pathkernel/core/error.h>
#include <pathkernel/core/random.h>
#include <pathkernel/kernel/layers/attention_estimate.h>
#include <pathkernel/kernel/layers/layers.h>
#include <pathkernel/kernel/specification.h>

#include <ATen/ops/matmul.h>
#include <ATen/ops/softmax.h>
#include <fmt/format.h>

#include <cmath>
#include <numeric>

namespace pathkernel::stax {
namespace {

/// Positions in one axis: [pairs, space, space] → [pairs, S, S].
Tensor tokens(const Tensor& t, size_t lead, size_t space) {
  const auto first = static_cast<int64_t>(lead), second = static_cast<int64_t>(lead + 1);
  return t.flatten(first, first + static_cast<int64_t>(space) - 1).flatten(second, second + static_cast<int64_t>(space) - 1);
}

Tensor positions(const Tensor& t, size_t lead, const std::vector<int64_t>& space) {
  const auto first = static_cast<int64_t>(lead);
  return t.unflatten(first + 1, space).unflatten(first, space);
}

/// K and Θ at all pairs of tokens, and both own kernels: one block of a state with x and y of its own.
struct Block { Tensor K, Theta, own_x, own_y; };

class GlobalSelfAttention : public SingleLayer {
 public:
  explicit GlobalSelfAttention(const AttentionOptions& options) : o_(options), parameters_("layer attention") {
    parameters_.add("W_key_std", o_.W_key_std, Range::not_negative);
    parameters_.add("W_value_std", o_.W_value_std, Range::not_negative);
    parameters_.add("W_query_std", o_.W_query_std, Range::not_negative);
    parameters_.add("W_out_std", o_.W_out_std, Range::not_negative);
    if (o_.b_std) parameters_.add("b_std", *o_.b_std, Range::not_negative);
  }
  std::string specification() const override;
  std::vector<Hyperparameter> hyperparameters() const override { return parameters_.list(); }
  bool assign(const std::string& name, const Tensor& value) override { return parameters_.set(name, value); }
  bool is_random() const override { return !o_.linear_scaling && o_.mechanism == Attention::softmax; }

 protected:
  double scratch_per_pair(double S) const override { return is_random() ? estimate_scratch(S) : 0; }
  Need need(const Need& of_output) const override { return {true, of_output.own, true}; }
  void propagate(KernelState& state, uint64_t draw) const override;
  Shape draw(const Shape& input, ParameterDraw& to) const override;
  Tensor forward(const Tensor& x, ParameterReader& parameters) const override;

 private:
  double value(const char* name) const { return parameters_[name].item<double>(); }
  Block attend(const Block& before, bool tangent, uint64_t draw) const;
  Block attend_with_fixed_weights(const Block& before, bool tangent) const;
  Block attend_with_gaussian_logits(const Block& before, bool tangent) const;
  Tensor affine(const Tensor& t) const { return o_.b_std ? t + parameters_["b_std"].square() : t; }

  AttentionOptions o_;
  Hyperparameters parameters_;
};

/// W_Q = W_K and logits divided by d_k: ζ = softmax(σ_Qσ_K K) (or without softmax); K' = σ_OV² ζKζ'ᵀ, Θ' = 2K' + σ_OV² ζΘζ'ᵀ.
Block GlobalSelfAttention::attend_with_fixed_weights(const Block& before, bool tangent) const {
  const Tensor logit_scale = parameters_["W_query_std"] * parameters_["W_key_std"],
      ov = (parameters_["W_out_std"] * parameters_["W_value_std"]).square();
  const auto weights = [&](const Tensor& own) {
    const Tensor logits = own * logit_scale;
    return o_.mechanism == Attention::softmax ? at::softmax(logits, -1) : logits;
  };
  const bool outer = before.K.dim() == 4;  // [n, m, S, S]: the weights of x go with every y
  const Tensor zeta_x = outer ? weights(before.own_x).unsqueeze(1) : weights(before.own_x);
  const Tensor zeta_y = outer ? weights(before.own_y).unsqueeze(0) : weights(before.own_y);
  const auto mean = [&](const Tensor& t) { return at::matmul(at::matmul(zeta_x, t), zeta_y.transpose(-1, -2)) * ov; };
  Block after;
  after.K = mean(before.K);
  if (tangent) after.Theta = before.Theta.defined() ? after.K * 2 + mean(before.Theta) : after.K * 2;
  return after;
}

/// Logits divided by √d_k and taken as they are: K'_ab = σ_OV²σ_QK² K_ab Σ_ij K_ij², σ_QK = σ_Qσ_K;
/// Θ'_ab = 2K'_ab + σ_OV²σ_QK²[K_ab Σ_ij K_ijΘ_ij + (2K_ab + Θ_ab) Σ_ij K_ij² + K_ab Σ_ij K_ijΘ_ij].
Block GlobalSelfAttention::attend_with_gaussian_logits(const Block& before, bool tangent) const {
  const Tensor s2 = (parameters_["W_query_std"] * parameters_["W_key_std"] * parameters_["W_out_std"] * parameters_["W_value_std"]).square();
  const auto total = [](const Tensor& t) { return t.sum({-2, -1}, /*keepdim=*/true); };
  const Tensor KK = total(before.K.square());
  Block after;
  after.K = before.K * KK * s2;
  if (!tangent) return after;
  after.Theta = after.K * 4;  // W_O and W_V, W_Q and W_K
  if (before.Theta.defined()) after.Theta = after.Theta + (before.K * total(before.K * before.Theta) * 2 + before.Theta * KK) * s2;
  return after;
}

Block GlobalSelfAttention::attend(const Block& before, bool tangent, uint64_t draw) const {
  if (o_.linear_scaling) return attend_with_fixed_weights(before, tangent);
  if (o_.mechanism == Attention::identity) return attend_with_gaussian_logits(before, tangent);
  AttentionEstimate estimate;
  estimate.logit_variance = (parameters_["W_query_std"] * parameters_["W_key_std"]).square();
  estimate.value_variance = (parameters_["W_out_std"] * parameters_["W_value_std"]).square();
  estimate.samples = o_.samples;
  estimate.seed = stream_seed(o_.seed, Stream::sampling, draw);
  Block after;
  std::tie(after.K, after.Theta) = estimate.attend(before.K, before.Theta, before.own_x, before.own_y, tangent);
  return after;
}

void GlobalSelfAttention::propagate(KernelState& state, uint64_t draw) const {
  if (state.space.empty()) throw InvalidInput("layer attention: there are no positions to attend to; inputs are [n, C, S] or [n, C, H, W]");
  const size_t k = state.space.size(), lead = state.pair_dims();
  Block before;
  before.K = tokens(state.K, lead, k);
  if (state.Theta.defined()) before.Theta = tokens(state.Theta, lead, k);
  before.own_x = tokens(state.own_kernel_x(), 1, k);
  before.own_y = tokens(state.own_kernel_y(), 1, k);
  const Block after = attend(before, state.with_tangent, draw);
  const auto own = [&](const Tensor& before_own) {
    return positions(affine(attend({before_own, {}, before_own, before_own}, false, draw).K), 1, state.space);
  };
  if (state.pairing == Pairing::rectangular) {
    state.own_x = own(before.own_x);
    state.own_y = own(before.own_y);
  }
  state.K = positions(affine(after.K), lead, state.space);
  if (state.with_tangent) state.Theta = positions(affine(after.Theta), lead, state.space);
  state.channels = o_.width;
  state.gaussian = true;
  state.independent.assign(state.independent.size(), true);
}

Shape GlobalSelfAttention::draw(const Shape& input, ParameterDraw& to) const {
  if (input.size() < 2) throw InvalidInput("layer attention: there are no positions to attend to; inputs are [n, C, S] or [n, C, H, W]");
  const auto width = [&](int64_t own) { return own > 0 ? own : to.width; };
  const int64_t out = width(o_.width), key = width(o_.key_width), value = width(o_.value_width);
  if (out <= 0 || key <= 0 || value <= 0) 
    throw InvalidInput("layer attention has no width, key or value; write them, or give the finite network a default");
  to.normal("W_query", {o_.heads * key, input[0]});
  if (!o_.linear_scaling) to.normal("W_key", {o_.heads * key, input[0]});
  to.normal("W_value", {o_.heads * value, input[0]});
  to.normal("W_out", {out, o_.heads * value});
  if (o_.b_std) to.normal("b", {out});
  Shape output = input;
  output[0] = out;
  return output;
}

Tensor GlobalSelfAttention::forward(const Tensor& x, ParameterReader& parameters) const {
  const Tensor flat = x.flatten(2).transpose(1, 2);  // [n, S, C]
  const double C = static_cast<double>(flat.size(2));
  const auto heads = [&](const Tensor& W, double std) {  // [n, heads, S, width]
    return (at::matmul(flat, W.t()) * (std / std::sqrt(C))).unflatten(2, {o_.heads, -1}).transpose(1, 2);
  };
  const Tensor W_query = parameters.next(), W_key = o_.linear_scaling ? W_query : parameters.next(), W_value = parameters.next(),
      W_out = parameters.next();
  const Tensor query = heads(W_query, value("W_query_std")), key = heads(W_key, value("W_key_std")), values = heads(W_value, value("W_value_std"));
  const double d = static_cast<double>(key.size(3));
  const Tensor logits = at::matmul(query, key.transpose(2, 3)) / (o_.linear_scaling ? d : std::sqrt(d));
  const Tensor zeta = o_.mechanism == Attention::softmax ? at::softmax(logits, -1) : logits;
  const Tensor mixed = at::matmul(zeta, values).transpose(1, 2).flatten(2);  // [n, S, heads·width]
  Tensor out = at::matmul(mixed, W_out.t()) * (value("W_out_std") / std::sqrt(static_cast<double>(mixed.size(2))));
  if (o_.b_std) out = out + parameters.next() * value("b_std");
  return out.transpose(1, 2).unflatten(2, x.sizes().slice(2));
}

std::string GlobalSelfAttention::specification() const {
  std::string text = fmt::format("attention:{}scale={}", o_.mechanism == Attention::identity ? "identity," : "",
                                 o_.linear_scaling ? "linear" : "sqrt");
  const auto append = [&](const char* key, double number, double standard) {
    if (number != standard) text += fmt::format(",{}={}", key, print_number(number));
  };
  append("width", static_cast<double>(o_.width), 0);
  append("key", static_cast<double>(o_.key_width), 0);
  append("value", static_cast<double>(o_.value_width), 0);
  append("heads", static_cast<double>(o_.heads), 8);
  append("w_key", value("W_key_std"), 1);
  append("w_value", value("W_value_std"), 1);
  append("w_query", value("W_query_std"), 1);
  append("w_out", value("W_out_std"), 1);
  if (o_.b_std) append("b", value("b_std"), -1);
  if (is_random()) append("samples", static_cast<double>(o_.samples), 1000), append("seed", static_cast<double>(o_.seed), 0);
  return text;
}

}  // namespace

LayerPtr global_self_attention(const AttentionOptions& options) {
  if (options.samples < 2) throw InvalidInput(fmt::format("layer attention: {} samples, but at least 2 are needed", options.samples));
  if (options.heads < 1) throw InvalidInput(fmt::format("layer attention: {} heads, but at least 1 is needed", options.heads));
  return std::make_shared<GlobalSelfAttention>(options);
}

}  // namespace pathkernel::stax
