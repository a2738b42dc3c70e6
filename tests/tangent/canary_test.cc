// What the tape takes for granted of torch, one test a fact. None of it is promised by torch's documentation: when another version of
// torch changes one of them, the test that fails says which, and what rests on it. Then change that, and the test after it.
#include <pathkernel/model/model.h>
#include <pathkernel/tangent/capture.h>
#include <pathkernel/tangent/capture_state.h>
#include <pathkernel/tangent/rule.h>

#include <ATen/Context.h>
#include <ATen/Functions.h>
#include <ATen/Version.h>
#include <ATen/core/grad_mode.h>
#include <gtest/gtest.h>
#include <torch/csrc/autograd/forward_grad.h>
#include <torch/csrc/inductor/aoti_torch/c/shim.h>
#include <torch/headeronly/version.h>
#include <torch/nn/functional/linear.h>

#include <algorithm>
#include <functional>
#include <thread>

namespace pathkernel {
namespace {

using Names = std::vector<std::string>;

Tensor parameter(at::IntArrayRef sizes) { return at::randn(sizes, at::kDouble).set_requires_grad(true); }

/// The operations of one forward pass that depend on `parameters`, as the tape sees them.
Names seen(const Tensors& parameters, const Tensors& examples, const std::function<void()>& forward) {
  Tape tape;
  NamedTensors named;
  for (const Tensor& p : parameters) named.push_back({"p" + std::to_string(named.size()), p});
  {
    const Capture capture(tape, Side::query, named, {}, examples);
    forward();
  }
  Names names;
  for (const Node& node : tape.nodes) names.push_back(node.name);
  return names;
}

c10::OperatorHandle operation(const char* name, const char* overload) { return c10::Dispatcher::singleton().findSchemaOrThrow(name, overload); }

bool writes(const c10::OperatorHandle& op, const char* argument) {
  for (const auto& a : op.schema().arguments())
    if (a.name() == argument) return a.alias_info() != nullptr && a.alias_info()->isWrite();
  ADD_FAILURE() << op.operator_name() << " has no argument '" << argument << "' any more";
  return false;
}

TEST(Canary, TorchIsTheVersionThatThisProgramWasBuiltWith) {
  EXPECT_EQ(aoti_torch_abi_version(), TORCH_ABI_VERSION)
      << "libtorch is another version than the headers (" TORCH_VERSION "): structs may have another layout. Build again with this torch.";
  EXPECT_NE(at::show_config().find("TORCH_VERSION=" TORCH_VERSION ","), std::string::npos)
      << "record/environment.cpp writes " TORCH_VERSION " into recordings, but libtorch says: " << at::show_config();
}

TEST(Canary, FallbackSeesAnOperationOnceAndAsTheUserWroteIt) {
  const Tensor image = at::randn({2, 1, 6, 6}, at::kDouble), row = at::randn({2, 6}, at::kDouble);
  const Tensor kernel = parameter({3, 1, 3, 3}), weight = parameter({6, 6}), bias = parameter({6});
  const char* broken = "torch no longer shows this operation whole, once, to a boxed fallback on TESTING_ONLY_GenericMode (its parts were seen "
                       "as well or instead, or nothing): tangent/capture.cpp (on_operation, leaf) and the rules in tangent/rules rest on it";
  EXPECT_EQ(seen({kernel}, {image}, [&] { at::conv2d(image, kernel); }), Names{"aten::conv2d"}) << broken;
  EXPECT_EQ(seen({weight, bias}, {row}, [&] { at::linear(row, weight, bias); }), Names{"aten::linear"}) << broken;
  EXPECT_EQ(seen({weight, bias}, {row}, [&] { at::layer_norm(row, {6}, weight[0], bias); }), (Names{"aten::select", "aten::layer_norm"})) << broken;
  EXPECT_EQ(seen({weight}, {row}, [&] { at::gelu(row.matmul(weight)); }), (Names{"aten::matmul", "aten::gelu"})) << broken;
  EXPECT_EQ(seen({weight}, {row}, [&] { row.matmul(weight).log_softmax(1); }), (Names{"aten::matmul", "aten::log_softmax"})) << broken;
  const Tensor tokens = at::arange(4).reshape({2, 2});
  EXPECT_EQ(seen({weight}, {tokens}, [&] { at::embedding(weight, tokens); }), Names{"aten::embedding"}) << broken;
}

TEST(Canary, FallbackSeesOnlyThreadsThatIncludeItsKey) {
  const Tensor row = at::randn({2, 6}, at::kDouble), weight = parameter({6, 6});
  const Names names = seen({weight}, {row}, [&] { std::thread([&] { row.matmul(weight); }).join(); });
  EXPECT_EQ(names, Names{}) << "an included dispatch key reaches other threads: one capture per thread (tangent/capture.h) rests on it, and "
                               "the checkpoints' writer (record/recorder.cpp)";
}

TEST(Canary, LinearLayerOfTorchNNArrivesAsTransposeAndProduct) {
  const Tensor weight = parameter({3, 4}), bias = parameter({3});
  const char* broken = "torch::nn::Linear calls other operations now: the rules of t, addmm, matmul and add in tangent/rules (bilinear.cpp, "
                       "linear.cpp) are what covers linear layers in C++";
  const Tensor rows = at::randn({2, 4}, at::kDouble), sequences = at::randn({2, 5, 4}, at::kDouble);
  EXPECT_EQ(seen({weight, bias}, {rows}, [&] { torch::nn::functional::linear(rows, weight, bias); }), (Names{"aten::t", "aten::addmm"})) << broken;
  EXPECT_EQ(seen({weight, bias}, {sequences}, [&] { torch::nn::functional::linear(sequences, weight, bias); }),
            (Names{"aten::t", "aten::matmul", "aten::add"})) << broken;
}

TEST(Canary, CompositesAreThoseWithAKernelForCompositeImplicitAutograd) {
  const auto composite = [](const char* name) { return operation(name, "").hasKernelForDispatchKey(c10::DispatchKey::CompositeImplicitAutograd); };
  const char* broken = "CompositeImplicitAutograd no longer tells operations made of others from those that are not: tangent/capture.cpp "
                       "(is_composite) decides by it what is redispatched and what is written down";
  for (const char* name : {"aten::cross_entropy_loss", "aten::max_pool2d", "aten::dropout", "aten::scaled_dot_product_attention"})
    EXPECT_TRUE(composite(name)) << name << ": " << broken;
  for (const char* name : {"aten::addmm", "aten::relu", "aten::convolution", "aten::nll_loss_forward", "aten::max_pool2d_with_indices"})
    EXPECT_FALSE(composite(name)) << name << ": " << broken;
}

TEST(Canary, CompositeRedispatchedBelowTheKeyShowsItsParts) {
  const Tensor row = at::randn({2, 6}, at::kDouble), weight = parameter({6, 6}), classes = at::arange(2), image = at::randn({2, 1, 4, 4}, at::kDouble);
  const char* broken = "redispatchBoxed below the tape's key no longer shows a composite operation's parts while the key stays included: "
                       "tangent/capture.cpp (run_composite) rests on it";
  EXPECT_EQ(seen({weight}, {row, classes}, [&] { at::cross_entropy_loss(row.matmul(weight), classes, {}, at::Reduction::None); }),
            (Names{"aten::matmul", "aten::log_softmax", "aten::nll_loss_forward"})) << broken;
  EXPECT_EQ(seen({weight}, {image}, [&] { at::max_pool2d(image * weight[0][0], 2); }),
            (Names{"aten::select", "aten::select", "aten::mul", "aten::max_pool2d_with_indices"})) << broken;
}

TEST(Canary, AttentionWithoutItsFusedKernelsIsMadeOfProductsAndSoftmax) {
  const Tensor q = at::randn({2, 1, 3, 4}, at::kDouble), scale = parameter({1});
  const Names names = seen({scale}, {q}, [&] { at::scaled_dot_product_attention(q * scale, q, q); });
  const auto has = [&](const char* part) {
    return std::any_of(names.begin(), names.end(), [&](const std::string& name) { return name.find(part) != std::string::npos; });
  };
  EXPECT_TRUE(has("matmul") && has("softmax") && !has("scaled_dot_product"))
      << "with flash and memory-efficient attention off, attention is no longer made of matmul and softmax: MathAttention "
         "(tangent/capture_state.h) rests on it. Seen: " << ::testing::PrintToString(names);
}

TEST(Canary, InPlaceOperationsSayWhatTheyWriteAndHaveAFunctionalForm) {
  const std::pair<const char*, const char*> both[] = {{"relu", ""}, {"add", "Tensor"}, {"mul", "Tensor"}, {"div", "Scalar"}, {"copy", ""},
                                                      {"masked_fill", "Scalar"}, {"clamp", ""}, {"sigmoid", ""}};
  for (const auto& [name, overload] : both) {
    const std::string functional = std::string("aten::") + name, in_place = functional + "_";
    EXPECT_TRUE(writes(operation(in_place.c_str(), overload), "self"))
        << in_place << " no longer marks `self` as written in its schema: tangent/capture.cpp (leaf) finds overwritten values by it";
    EXPECT_TRUE(c10::Dispatcher::singleton().findSchema({functional, overload}).has_value())
        << in_place << " no longer has a functional form of that overload: tangent/capture.cpp (functional_form) and the rules rest on it";
  }
}

TEST(Canary, OperationsThatOnlyRenameInPlaceAreTagged) {
  for (const char* name : {"aten::t_", "aten::transpose_", "aten::squeeze_", "aten::unsqueeze_"}) {
    EXPECT_TRUE(operation(name, "").hasTag(at::Tag::inplace_view))
        << name << " lost the tag inplace_view: tangent/capture.cpp (leaf) would take it for a write to the tensor's numbers";
  }
  EXPECT_FALSE(operation("aten::relu_", "").hasTag(at::Tag::inplace_view)) << "relu_ got the tag inplace_view: its write would be missed";
}

TEST(Canary, RandomOperationsAreTaggedAndFollowTheDefaultGenerator) {
  for (const auto& [name, overload] : {std::pair{"aten::dropout", ""}, {"aten::native_dropout", ""}, {"aten::bernoulli_", "float"}, {"aten::rand_like", ""}})
    EXPECT_TRUE(operation(name, overload).hasTag(at::Tag::nondeterministic_seeded)) << name << " lost the tag nondeterministic_seeded";
  const auto drawn = [] {
    at::manual_seed(7);
    return at::dropout(at::ones({64}), 0.5, true);
  };
  EXPECT_TRUE(at::equal(drawn(), drawn())) << "dropout no longer draws the same numbers from the same seed: train/step.cpp seeds every step so "
                                              "that replay (record/replay.cpp) draws what training drew";
}

TEST(Canary, BatchNormChangesItsBuffersWithoutSayingSo) {
  const Tensor x = at::randn({8, 3}), mean = at::zeros({3}), variance = at::ones({3});
  EXPECT_FALSE(writes(operation("aten::batch_norm", ""), "running_mean"))
      << "batch_norm now says in its schema that it writes its running statistics: tangent/capture.cpp can follow the write, and whoever puts "
         "buffers back after taping need not";
  at::batch_norm(x, {}, {}, mean, variance, /*training=*/true, 0.1, 1e-5, false);
  EXPECT_FALSE(at::equal(mean, at::zeros({3}))) << "batch_norm no longer updates its running mean in place: buffers are read after the forward "
                                                   "pass (record/record_run.cpp, record/replay.cpp)";
}

TEST(Canary, ShallowCopyAndDetachSharesStorageButNeitherNameNorGraph) {
  const Tensor original = parameter({2, 3}) * 2;
  const Tensor copy(original.unsafeGetTensorImpl()->shallow_copy_and_detach(c10::VariableVersion(0), true));
  const char* rests = ": tangent/capture.cpp (frozen) keeps a tape's values this way";
  EXPECT_TRUE(copy.storage().is_alias_of(original.storage())) << "shallow_copy_and_detach copies the numbers now" << rests;
  EXPECT_FALSE(copy.is_same(original)) << "shallow_copy_and_detach returns the tensor itself" << rests;
  EXPECT_FALSE(copy.requires_grad()) << "shallow_copy_and_detach keeps the graph" << rests;
  {
    const at::NoGradGuard no_grad;
    original.t_();
  }
  EXPECT_EQ(copy.sizes(), (at::IntArrayRef{2, 3})) << "a change of the original's sizes reaches the copy" << rests;
}

TEST(Canary, HooksDeliverTheCotangentOfTheValueTheyWereHungOn) {
  const Tensor w = parameter({4}), x = at::randn({4}, at::kDouble);
  Tensor y = w * x;
  Tensors caught;
  y.register_hook([&](const Tensor& cotangent) { caught.push_back(cotangent.clone()); });
  const Tensor before = y.detach().clone();
  y.relu_();  // the hook stays with the value that y was
  const Tensor losses = y * y;
  losses.sum().backward({}, /*retain_graph=*/true);
  losses.sum().backward();
  const char* rests = ": tangent/catcher.cpp catches the training side's factors this way";
  ASSERT_EQ(caught.size(), 2u) << "a tensor's hook is no longer called once in each backward pass" << rests;
  const Tensor expected = 2 * before.relu();
  EXPECT_TRUE(at::allclose(caught[0], expected) && at::equal(caught[0], caught[1]))
      << "a hook does not receive the gradient at the value it was hung on, but at what the tensor became in place" << rests;
}

TEST(Canary, ForwardModeDerivativesAreHadFromCpp) {
  const Tensor x = at::randn({4, 3}, at::kDouble), w = parameter({3, 2}), v = at::randn({3, 2}, at::kDouble);
  const auto loss = [&](const Tensor& weights) { return at::batch_norm(x.matmul(weights), {}, {}, {}, {}, true, 0.1, 1e-5, false).pow(3).sum(); };
  loss(w).backward();
  const double expected = (w.grad() * v).sum().item<double>();
  const auto level = torch::autograd::ForwardADLevel::get_next_idx();
  double pushed = 0;
  {
    const Tensor dual = w.detach().clone();
    dual._set_fw_grad(v, level, /*is_inplace_op=*/false);
    const Tensor tangent = loss(dual)._fw_grad(level);
    if (tangent.defined()) pushed = tangent.item<double>();
  }
  torch::autograd::ForwardADLevel::release_idx(level);
  EXPECT_NEAR(pushed, expected, 1e-12 * std::abs(expected))
      << "forward-mode differentiation through matmul and training-mode batch norm, from C++, is not the gradient along v any more: pushforwards "
         "without a rule of their own rest on it (design.md section 3)";
}

TEST(Canary, EveryRuleIsOfAnOperationThatThereIs) {
  std::vector<std::string> known;
  for (const auto& name : c10::Dispatcher::singleton().getAllOpNames()) known.push_back(name.name);
  std::sort(known.begin(), known.end());
  for (const std::string& name : rule_names())
    EXPECT_TRUE(std::binary_search(known.begin(), known.end(), name))
        << name << " is no operation of torch " TORCH_VERSION ": its rule (tangent/rules) is never used, and the general one takes its place";
}

}  // namespace
}  // namespace pathkernel
