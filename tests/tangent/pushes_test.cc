// Every push against ATen's forward mode of the same operation (invariant 7), and both against its backward pass: ⟨v, J λ⟩ = ⟨Jᵀ v, λ⟩.

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <pathkernel/tangent/capture.h>
#include <pathkernel/tangent/push.h>
#include <pathkernel/tangent/pushforward.h>
#include <torch/csrc/autograd/autograd.h>

#include <functional>
#include <set>

namespace pathkernel {
namespace {

using Function = std::function<Tensor(const Tensors&)>;

struct Case {
  std::string name;
  std::vector<std::vector<int64_t>> shapes;  ///< of the parameters
  Function f;
  bool forward_mode = true;                  ///< torch's forward mode has the operations, with autograd's own conventions
};

Tensor numbers(std::vector<int64_t> shape) { return at::randn(shape, at::kDouble); }
Tensor whole(std::vector<int64_t> list) { return at::tensor(list, at::kLong); }
Tensor whole(std::vector<int64_t> list, std::vector<int64_t> shape) { return whole(list).view(shape); }

std::vector<Case> linear_cases() {
  const std::vector<int64_t> image = {2, 3, 4, 4};
  return {
      {"views", {{3, 4}}, [](const Tensors& x) { return x[0].view({2, 6}).unsqueeze(-1).squeeze(2).reshape({4, 3}).transpose(0, 1).contiguous().view({12}); }},
      {"unsafe_view", {{4, 3}}, [](const Tensors& x) { return at::_unsafe_view(x[0], {2, 6}); }},
      {"reshape_alias", {{4, 3}}, [](const Tensors& x) { return at::_reshape_alias(x[0], {2, 6}, {6, 1}); }},
      {"same", {{4, 3}}, [](const Tensors& x) { return at::alias(at::lift_fresh(x[0].clone())); }, false},
      {"permute", {{2, 3, 4}}, [](const Tensors& x) { return x[0].permute({2, 0, -2}).expand({5, 4, 2, 3}); }},
      {"transpose", {{2, 3, 4}}, [](const Tensors& x) { return x[0].transpose(-1, 0) + x[0].transpose(0, 2); }},
      {"t", {{3, 4}, {3}}, [](const Tensors& x) { return at::cat({x[0].t(), x[1].t().unsqueeze(0)}, -2); }},
      {"slices", {{4, 6}}, [](const Tensors& x) { return at::cat({x[0].slice(1, 0, 6, 2), x[0].slice(-1, 1, 4), x[0].select(0, 2).expand({4, 6}), x[0].select(-1, -1).unsqueeze(1)}, 1); }},
      {"splits", {{6, 4}}, [](const Tensors& x) { return x[0].split(2)[1] + x[0].split_with_sizes({1, 2, 3}, 0)[1] * 2 + x[0].unbind(1)[3].view({3, 2}).repeat({1, 2}).narrow(0, 0, 2); }},
      {"flips", {{3, 4}}, [](const Tensors& x) { return x[0].flip({0}) + x[0].flip({-1}) * 2 + x[0].roll({1, 2}, {0, 1}) * 3 + x[0].roll({5}) * 4; }},
      {"stack", {{3, 4}, {3, 4}}, [](const Tensors& x) { return at::stack({x[0], numbers({3, 4}), x[1]}, 1) + at::stack({x[0], x[1], x[0]}, -2); }},
      {"cat_with_a_constant", {{3, 4}}, [](const Tensors& x) { return at::cat({at::ones({3, 1}, at::kDouble), x[0]}, 1); }},
      {"index_select", {{5, 4}}, [](const Tensors& x) { return x[0].index_select(0, whole({3, 0, 3})) * x[0].index_select(-1, whole({0, 2})).sum(); }},
      {"unfold_and_diagonal", {{5, 5}}, [](const Tensors& x) { return x[0].unfold(1, 3, 2).sum({1, 2}) + x[0].diagonal(0, 0, 1) + x[0].unfold(-1, 3, 1).diagonal(0, -2, -1).sum(1); }},
      {"cumsum", {{3, 4}}, [](const Tensors& x) { return x[0].cumsum(1) + x[0].cumsum(-2); }},
      {"index", {{5, 4}}, [](const Tensors& x) { return x[0].index(c10::List<std::optional<Tensor>>({whole({1, 3, 3}), whole({0, 0, 2})})) * x[0].index(c10::List<std::optional<Tensor>>({at::arange(5).gt(1)})).sum(); }},
      {"gather", {{3, 4}}, [](const Tensors& x) { return x[0].gather(1, whole({0, 3, 1, 1, 2, 0}, {3, 2})); }},
      {"as_strided", {{3, 4}}, [](const Tensors& x) { return x[0].as_strided({2, 2}, {4, 1}, 1); }},
      {"scatter_add", {{3, 4}, {3, 4}}, [](const Tensors& x) { return x[0].scatter_add(1, whole({0, 3, 1, 1, 1, 1, 0, 0, 2, 0, 3, 3}, {3, 4}), x[1]); }},
      {"index_add_to_a_constant", {{2, 4}}, [](const Tensors& x) { return at::index_add(at::ones({3, 4}, at::kDouble), 0, whole({2, 0}), x[0], 0.5); }},
      {"other_precision", {{3, 4}}, [](const Tensors& x) { return x[0].to(at::kFloat).to(at::kDouble); }},
      {"sums", {image}, [](const Tensors& x) { return x[0].sum() + x[0].sum({1, -1}).sum(0) * 2 + x[0].sum({0, 2, 3}, true).sum({-4, -3, -2, -1}); }},
      {"means", {image}, [](const Tensors& x) { return x[0].mean() + x[0].mean({1, -1}).mean(0) * 2 + x[0].mean(-1, true).mean({0, 1, 2, 3}); }},
      {"average_pools", {image}, [](const Tensors& x) { return at::avg_pool2d(x[0], 2) + at::adaptive_avg_pool2d(x[0], {2, 2}) + at::avg_pool2d(x[0][1], 2); }},
      {"average_pool_1d", {{2, 3, 6}}, [](const Tensors& x) { return at::avg_pool1d(x[0], 3); }},
      {"pad", {image}, [](const Tensors& x) { return at::constant_pad_nd(x[0], {1, 2, 0, 1}, 3.0); }},
      {"sum_of_two", {{3, 4}, {4}}, [](const Tensors& x) { return at::add(x[0], x[1], 0.3) - at::sub(x[1], x[0], 2) + at::rsub(x[0], x[1], 0.7) + (1 - x[1]) + (x[0] + 2) + (-x[0]) + at::add(x[1], 1, 2); }},
      {"sum_with_a_constant", {{4}}, [](const Tensors& x) { return at::add(numbers({3, 4}), x[0], 0.3) + at::add(x[0], numbers({3, 1})) + at::rsub(numbers({3, 4}), x[0]) + at::rsub(x[0], numbers({3, 4})); }},
      {"masked_fill", {{3, 4}, {}}, [](const Tensors& x) {
         const Tensor mask = whole({1, 0, 0, 1}).to(at::kBool);
         return x[0].masked_fill(mask, 2.0) + x[0].masked_fill(mask, x[1]);
       }},
      {"embedding", {{5, 3}}, [](const Tensors& x) { return at::embedding(x[0], whole({1, 4, 4, 0}, {2, 2})); }},
      {"embedding_with_padding", {{5, 3}}, [](const Tensors& x) { return at::embedding(x[0], whole({1, 4, 4, 0}, {2, 2}), /*padding_idx=*/4); }, false},
  };
}

std::vector<Case> bilinear_cases() {
  const std::vector<int64_t> image = {2, 4, 6, 5};
  const auto conv = [](int64_t stride, int64_t padding, int64_t dilation, int64_t groups) {
    return [=](const Tensors& x) { return at::conv2d(x[0], x[1], x[2], stride, padding, dilation, groups); };
  };
  return {
      {"linear", {{2, 3, 4}, {5, 4}, {5}}, [](const Tensors& x) { return at::linear(x[0], x[1], x[2]) + at::linear(x[0], x[1]); }},
      {"linear_of_constants", {{5, 4}, {5}}, [](const Tensors& x) { return at::linear(numbers({6, 4}), x[0], x[1]) + at::linear(numbers({4}), x[0]) + at::linear(numbers({6, 4}), numbers({5, 4}), x[1]); }},
      {"linear_to_one", {{4}}, [](const Tensors& x) { return at::linear(numbers({6, 4}), x[0]); }},
      {"addmm", {{5}, {3, 4}, {4, 5}}, [](const Tensors& x) { return at::addmm(x[0], x[1], x[2], 0.5, 2) + at::addmm(numbers({3, 5}), x[1], x[2].contiguous()); }},
      {"mm", {{3, 4}, {4, 5}}, [](const Tensors& x) { return at::mm(x[0], x[1]) + at::mm(numbers({3, 4}), x[1]) + at::mm(x[0], numbers({4, 5})); }},
      {"mv", {{3, 4}, {4}}, [](const Tensors& x) { return at::mv(x[0], x[1]); }},
      {"bmm", {{2, 3, 4}, {2, 4, 5}}, [](const Tensors& x) { return at::bmm(x[0], x[1]) + at::bmm(numbers({2, 3, 4}), x[1]); }},
      {"baddbmm", {{5}, {2, 3, 4}, {2, 4, 5}}, [](const Tensors& x) { return at::baddbmm(x[0], x[1], x[2], 0.3, 1.5) + at::baddbmm(numbers({2, 3, 5}), x[1], numbers({2, 4, 5})); }},
      {"matmul", {{2, 3, 4}, {4, 5}}, [](const Tensors& x) { return at::matmul(x[0], x[1]) + at::matmul(x[0].unsqueeze(0), x[1].unsqueeze(0))[0]; }},
      {"matmul_broadcast", {{2, 1, 3, 4}, {6, 4, 5}}, [](const Tensors& x) { return at::matmul(x[0], x[1]) + at::matmul(x[1].transpose(1, 2), x[0].transpose(2, 3)).transpose(2, 3); }},
      {"matmul_vectors", {{4}, {4, 3}}, [](const Tensors& x) { return at::matmul(x[0], x[1]) + at::matmul(x[1].t(), x[0]) + at::matmul(x[0], x[0]); }},
      {"products", {{3, 4}, {4}}, [](const Tensors& x) { return x[0] * x[1] + x[1] * x[1] + x[0] * 3 + x[1] * numbers({3, 1}) + 2 * x[1] * whole({1, 0, 1, 1}).to(at::kBool); }},
      {"quotients", {{3, 4}, {4}}, [](const Tensors& x) { return x[0] / x[1] + x[1] / (x[0] * x[0] + 1) + x[0] / 3 + numbers({3, 1}) / x[1] + x[1] / numbers({3, 1}); }},
      {"quotient_rounded", {{4}}, [](const Tensors& x) { return at::div(x[0], at::ones({4}, at::kDouble) * 0.3, "floor") + x[0]; }},
      {"conv2d", {image, {6, 4, 3, 2}, {6}}, conv(1, 0, 1, 1)},
      {"conv2d_strided", {image, {6, 4, 3, 2}, {6}}, conv(2, 1, 1, 1)},
      {"conv2d_dilated", {image, {6, 4, 2, 2}, {6}}, conv(1, 1, 2, 1)},
      {"conv2d_grouped", {image, {6, 2, 3, 3}, {6}}, conv(2, 1, 1, 2)},
      {"conv2d_depthwise", {image, {8, 1, 3, 3}, {8}}, conv(1, 1, 1, 4)},
      {"conv2d_of_constants", {{6, 4, 3, 3}}, [](const Tensors& x) { return at::conv2d(numbers({2, 4, 5, 5}), x[0], {}, {1, 2}); }},
      {"conv2d_bias_alone", {{6}}, [](const Tensors& x) { return at::conv2d(numbers({2, 4, 5, 5}), numbers({6, 4, 3, 3}), x[0]); }},
      {"conv2d_same", {image, {6, 4, 3, 3}, {6}}, [](const Tensors& x) { return at::conv2d(x[0], x[1], x[2], 1, "same"); }},
      {"conv2d_unbatched", {{4, 6, 5}, {6, 4, 3, 3}, {6}}, [](const Tensors& x) { return at::conv2d(x[0], x[1], x[2]); }},
      {"conv1d", {{2, 4, 9}, {6, 2, 3}, {6}}, [](const Tensors& x) { return at::conv1d(x[0], x[1], x[2], 2, 1, 1, 2); }},
      {"conv3d", {{2, 2, 4, 4, 4}, {3, 2, 2, 3, 2}, {3}}, [](const Tensors& x) { return at::conv3d(x[0], x[1], x[2]); }},
      {"conv_transposed", {image, {4, 3, 3, 3}, {6}}, [](const Tensors& x) { return at::conv_transpose2d(x[0], x[1], x[2], 2, 1, 1, 2); }},
  };
}

std::vector<Case> pointwise_cases() {
  std::vector<Case> cases;
  const auto add = [&](const std::string& name, std::function<Tensor(const Tensor&)> f) { cases.push_back({name, {{3, 4}}, [f](const Tensors& x) { return f(x[0] * 0.5 + 0.03); }}); };
  const auto positive = [](const Tensor& x) { return x * x + 0.3; };
  add("relu", [](const Tensor& x) { return at::relu(x); });
  add("leaky_relu", [](const Tensor& x) { return at::leaky_relu(x, 0.1); });
  add("abs", [](const Tensor& x) { return x.abs(); });
  add("clamp", [](const Tensor& x) { return x.clamp(-0.2, 0.3) + x.clamp_min(-0.1) + x.clamp_max(0.1); });
  add("clamp_by_tensors", [](const Tensor& x) { return at::clamp(x, at::full({4}, -0.2, at::kDouble), x * 0.2 + 0.1); });
  add("sigmoids", [](const Tensor& x) { return at::tanh(x) + at::sigmoid(x) + at::hardsigmoid(x) + at::hardtanh(x, -0.3, 0.2) + at::log_sigmoid(x) + at::erf(x) + at::atan(x) + at::asinh(x); });
  add("gates", [](const Tensor& x) { return at::gelu(x) + at::gelu(x, "tanh") + at::silu(x) + at::hardswish(x) + at::mish(x); });
  add("linear_units", [](const Tensor& x) { return at::softplus(x, 2, 10) + at::elu(x, 0.7) + at::selu(x) + at::celu(x, 0.6) + at::threshold(x, 0.1, 20); });
  add("exponentials", [](const Tensor& x) { return x.exp() + at::expm1(x) + at::sin(x) + at::cos(x); });
  add("logarithms", [&](const Tensor& x) { return positive(x).log() + positive(x).log2() + positive(x).log10() + at::log1p(positive(x)); });
  add("roots", [&](const Tensor& x) { return positive(x).sqrt() + positive(x).rsqrt() + positive(x).reciprocal() + x.square(); });
  add("powers", [&](const Tensor& x) { return x.pow(3) + positive(x).pow(0.7) + at::pow(2.0, x) + positive(x).pow(x); });
  add("no_rule_no_push", [&](const Tensor& x) { return at::logcumsumexp(x, 1) + at::atan2(x, positive(x)) + at::cumprod(positive(x), 0) + x.std(1, true, true) + x.amax(1, true); });
  return cases;
}

std::vector<Case> other_cases() {
  const std::vector<int64_t> image = {4, 6, 3, 2};
  const auto batch_norm = [](bool training) {
    return [=](const Tensors& x) {
      return at::batch_norm(x[0], x[1], x[2], at::ones({6}, at::kDouble) * 0.2, at::ones({6}, at::kDouble) * 1.5, training, 0.1, 1e-3, true);
    };
  };
  const auto labels = [] { return whole({2, 0, -100, 1}); };
  std::vector<Case> cases = {
      {"softmaxes", {{3, 4, 5}}, [](const Tensors& x) { return at::softmax(x[0], 1) * at::log_softmax(x[0], -1) + at::_safe_softmax(x[0], 0) * at::softmax(x[0], 0); }},
      {"inner_softmaxes", {{3, 4, 5}}, [](const Tensors& x) { return at::_softmax(x[0], 1, false) * at::_log_softmax(x[0], 2, false); }},
      {"masked_softmax", {{3, 4}}, [](const Tensors& x) { return at::softmax(x[0].masked_fill(whole({1, 0, 0, 1}).to(at::kBool), -INFINITY), -1); }},
      {"logsumexp", {{3, 4, 5}}, [](const Tensors& x) { return at::logsumexp(x[0], 1) .sum(1) + at::logsumexp(x[0], -1, true).sum({1, 2}) + at::logsumexp(x[0], at::IntArrayRef{1, 2}); }},
      {"layer_norm", {{3, 2, 5}, {2, 5}, {2, 5}}, [](const Tensors& x) { return at::layer_norm(x[0], {2, 5}, x[1], x[2]) + at::layer_norm(x[0], {5}) + std::get<0>(at::native_layer_norm(x[0], {2, 5}, x[1], {}, 1e-3)); }},
      {"layer_norm_statistics", {{3, 5}}, [](const Tensors& x) {
         const auto [y, mean, r] = at::native_layer_norm(x[0], {5}, {}, {}, 1e-3);
         return y * mean + r;
       }},
      {"layer_norm_of_constants", {{5}, {5}}, [](const Tensors& x) { return at::layer_norm(numbers({3, 5}), {5}, x[0], x[1]) + at::layer_norm(numbers({3, 5}), {5}, numbers({5}), x[1]); }},
      {"rms_norm", {{3, 2, 5}, {2, 5}}, [](const Tensors& x) { return at::rms_norm(x[0], {2, 5}, x[1]) + at::rms_norm(x[0], {5}, {}, 1e-3); }},
      {"batch_norm", {image, {6}, {6}}, batch_norm(true)},
      {"batch_norm_of_rows", {{7, 6}, {6}, {6}}, batch_norm(true)},
      {"batch_norm_in_eval_mode", {image, {6}, {6}}, batch_norm(false)},
      {"batch_norm_plain", {image}, [](const Tensors& x) { return at::batch_norm(x[0], {}, {}, {}, {}, true, 0.1, 1e-3, true); }},
      {"batch_norm_of_constants", {{6}}, [=](const Tensors& x) { return batch_norm(true)({numbers({5, 6}), x[0], numbers({6})}) + batch_norm(false)({numbers({5, 6}), numbers({6}), x[0]}); }},
      {"group_norm", {image, {6}, {6}}, [](const Tensors& x) { return at::group_norm(x[0], 3, x[1], x[2]) + at::group_norm(x[0], 2); }},
      {"instance_norm", {image, {6}, {6}}, [](const Tensors& x) {
         const Tensor mean = at::ones({6}, at::kDouble) * 0.2, variance = at::ones({6}, at::kDouble) * 1.5;
         return at::instance_norm(x[0], x[1], x[2], {}, {}, true, 0.1, 1e-3, true) + at::instance_norm(x[0], x[1], {}, mean, variance, false, 0.1, 1e-3, true);
       }},
      {"max_pool", {{2, 3, 7, 6}}, [](const Tensors& x) { return at::max_pool2d(x[0], 3, 2, 1) + at::max_pool2d(x[0], {3, 2}, {2, 2}, {1, 1}).narrow(3, 0, 3); }},
      {"extremes", {{4, 5}}, [](const Tensors& x) { return std::get<0>(x[0].max(1)) + std::get<0>(x[0].min(-1, true)).squeeze(1) + x[0].max() + at::max(x[0], -x[0]).sum(1); }},
      {"sorted", {{4, 5}}, [](const Tensors& x) { return std::get<0>(x[0].sort(0)).narrow(1, 0, 2) + std::get<0>(x[0].topk(2, -1)); }},
      {"where", {{3, 4}, {4}}, [](const Tensors& x) { return at::where(x[0] > 0, x[0], x[1]) + at::where(x[1] > 0, x[1], at::zeros({}, at::kDouble)); }},
      {"cross_entropy", {{4, 3}}, [=](const Tensors& x) {
         return at::cross_entropy_loss(x[0], labels(), numbers({3}).abs(), at::Reduction::None) + at::cross_entropy_loss(x[0], labels(), {}, at::Reduction::None) +
                at::cross_entropy_loss(x[0], labels(), {}, at::Reduction::Mean, -100, 0.1);
       }},
      {"cross_entropy_of_one", {{3}}, [](const Tensors& x) { return at::cross_entropy_loss(x[0], whole({1}, {}), {}, at::Reduction::None); }},
      {"squared_error", {{4, 3}, {3}}, [](const Tensors& x) { return at::mse_loss(x[0], numbers({4, 3}), at::Reduction::None) + at::mse_loss(numbers({4, 3}), x[0], at::Reduction::None) + at::mse_loss(x[0], x[0].flip({0}).contiguous()); }},
      {"other_losses", {{4, 3}}, [](const Tensors& x) {
         const Tensor target = at::rand({4, 3}, at::kDouble), sign = at::ones({4, 3}, at::kDouble);
         return at::huber_loss(x[0], target, at::Reduction::None, 0.4) + at::smooth_l1_loss(x[0], target, at::Reduction::None, 0.3) + at::soft_margin_loss(x[0], sign, at::Reduction::None) +
                at::binary_cross_entropy_with_logits(x[0], target, {}, {}, at::Reduction::None) + at::binary_cross_entropy(x[0].sigmoid(), target, {}, at::Reduction::None) +
                at::huber_loss(x[0], target, at::Reduction::Mean, 0.4) + at::huber_loss(x[0], x[0] * x[0], at::Reduction::None, 0.4);
       }},
      {"dropout", {{5, 6}}, [](const Tensors& x) { return at::dropout(x[0], 0.4, true) + std::get<0>(at::native_dropout(x[0] * 1, 0.3, true)); }, false},
      {"attention", {{2, 3, 4, 5}, {2, 3, 4, 5}, {2, 3, 4, 5}}, [](const Tensors& x) { return at::scaled_dot_product_attention(x[0], x[1], x[2]) + at::scaled_dot_product_attention(x[0], x[1], x[2], {}, 0.0, true); }},
      {"in_place", {{3, 6}, {6}}, [](const Tensors& x) {
         Tensor y = x[0] * 2;
         y.add_(x[1], 0.5).mul_(y.clone());
         return y.relu_();
       }},
      {"in_place_through_a_view", {{3, 6}, {3}}, [](const Tensors& x) {
         Tensor y = x[0] * 2;
         const Tensor left = y.slice(1, 0, 3), row = y.select(0, 1);
         left.mul_(x[1]);
         y.select(1, 4).copy_(x[1]);
         row.fill_(1.5);
         y.select(0, 2).zero_();
         return y + left.sum() + row.sum() * x[1].sum();
       }, false},
      {"copied", {{2, 3}, {3}}, [](const Tensors& x) {
         Tensor y = x[0] * 0;
         y.select(0, 1).copy_(x[1]);
         Tensor z = x[0] * 2;
         z.copy_(y * x[1]);
         return z + at::ones({2, 3}, at::kDouble).copy_(x[1]);
       }, false},
      {"detached", {{3, 4}}, [](const Tensors& x) { return x[0] * x[0].detach() + at::tanh(x[0].detach()); }},
      {"without_gradients", {{3, 4}}, [](const Tensors& x) {
         const Tensor constant = [&] {
           const at::NoGradGuard no_grad;
           return at::tanh(x[0]) * 2;
         }();
         return x[0] * constant;
       }},
  };
  return cases;
}

std::vector<Case> all_cases() {
  std::vector<Case> all;
  for (auto&& some : {linear_cases(), bilinear_cases(), pointwise_cases(), other_cases()}) all.insert(all.end(), some.begin(), some.end());
  return all;
}

struct Taped {
  Tape tape;
  ValueId y = no_value;
  Tensor on_graph;
  NamedTensors parameters;
};

std::unique_ptr<Taped> run(const Case& one) {
  at::manual_seed(7);
  auto taped = std::make_unique<Taped>();
  Tensors x;
  for (const auto& shape : one.shapes) {
    x.push_back(numbers(shape).requires_grad_(true));
    taped->parameters.push_back({"w" + std::to_string(x.size()), x.back()});
  }
  Capture capture(taped->tape, Side::forward, taped->parameters, {}, {});
  taped->on_graph = one.f(x);
  taped->y = taped->tape.find(taped->on_graph);
  return taped;
}

constexpr int64_t Q = 3;

class Pushes : public ::testing::TestWithParam<Case> {};
std::string case_name(const ::testing::TestParamInfo<Case>& info) { return info.param.name; }

TEST_P(Pushes, EqualForwardModeAndTheTransposeOfBackward) {
  const auto taped = run(GetParam());
  ASSERT_NE(taped->y, no_value);
  Tensors lambda, flat;
  for (const NamedTensor& p : taped->parameters) {
    lambda.push_back(at::randn({Q, p.tensor.numel()}, at::kDouble));
    flat.push_back(p.tensor);
  }
  const Tensor pushed = pushforward(taped->tape, taped->y, lambda);
  const double size = pushed.abs().max().item<double>();
  ASSERT_GT(size, 1e-3);
  if (GetParam().forward_mode) {
    const Tensor twin = pushforward(taped->tape, taped->y, lambda, {.only_forward_mode = true});
    EXPECT_LE((pushed - twin).abs().max().item<double>(), 1e-12 * size);
  }
  // Query by query, in as many walks.
  EXPECT_LE((pushed - pushforward(taped->tape, taped->y, lambda, {.memory = 1})).abs().max().item<double>(), 1e-13 * size);
  // One parameter at a time: the others' tangents are zero.
  Tensor sum = at::zeros_like(pushed);
  for (size_t l = 0; l < lambda.size(); ++l) {
    Tensors alone(lambda.size());
    alone[l] = lambda[l];
    sum.add_(pushforward(taped->tape, taped->y, alone));
  }
  EXPECT_LE((pushed - sum).abs().max().item<double>(), 1e-12 * size);

  const Tensor v = at::randn(taped->on_graph.sizes(), at::kDouble);
  const Tensors back = torch::autograd::grad({taped->on_graph}, flat, {v}, false, false, true);
  for (int64_t q = 0; q < Q; ++q) {
    double expected = 0;
    for (size_t l = 0; l < back.size(); ++l) {
      if (back[l].defined()) expected += (back[l].reshape(-1) * lambda[l][q]).sum().item<double>();
    }
    EXPECT_NEAR((pushed[q] * v).sum().item<double>(), expected, (GetParam().name == "other_precision" ? 1e-6 : 1e-11) * (1 + std::abs(expected)));
  }
}

INSTANTIATE_TEST_SUITE_P(Operations, Pushes, ::testing::ValuesIn(all_cases()), case_name);

/// The cases above meet every push there is.
TEST(PushTables, AreAllTested) {
  std::set<std::string> untested;
  for (const PushTable& table : {linear_pushes(), bilinear_pushes(), pointwise_pushes(), softmax_pushes(), normalisation_pushes(), selection_pushes(), loss_pushes()}) {
    for (const auto& [name, push] : table) EXPECT_TRUE(untested.insert(name).second) << name << " has two pushes";
  }
  for (const Case& one : all_cases()) {
    const auto taped = run(one);
    for (const Node& node : taped->tape.nodes) untested.erase(node.name);
  }
  EXPECT_EQ(std::vector<std::string>(untested.begin(), untested.end()), std::vector<std::string>());
}

}  // namespace
}  // namespace pathkernel
