// Losses per example against their formulas; tests/python/test_losses.py trains with each beside torch.nn.functional.
#include <pathkernel/core/error.h>
#include <pathkernel/train/objective.h>

#include <ATen/ATen.h>
#include <gtest/gtest.h>
#include <scratch.h>

namespace pathkernel {
namespace {

Tensor scores() { return at::tensor({2.0, -1.0, 0.5, 0.25, 3.0, -2.0, 1.0, 1.0, 1.0, -4.0, 2.0, 0.0}, at::kDouble).view({4, 3}); }
Tensor labels() { return at::tensor({0, 2, 1, 0}, at::kLong); }

Dataset dataset(const Tensor& targets, std::vector<std::string> class_names = {}) {
  Dataset data;
  data.name = "these data";
  data.inputs = at::zeros({targets.size(0), 1});
  data.targets = targets;
  data.class_names = std::move(class_names);
  return data;
}

TEST(Objective, LabelSmoothingMixesInTheMeanOfAllClasses) {
  const Tensor log_p = at::log_softmax(scores(), 1), mine = -log_p.gather(1, labels().unsqueeze(1)).squeeze(1);
  EXPECT_TRUE(at::allclose(make_objective("cross-entropy")->losses({scores()}, labels()), mine, 1e-15, 1e-15));
  EXPECT_TRUE(at::allclose(make_objective("label-smoothing:0.2")->losses({scores()}, labels()), 0.8 * mine - 0.2 * log_p.mean(1), 1e-15, 1e-15));
}

TEST(Objective, HingeSumsTheMarginsThatAreMissed) {
  // 1 − f_y + f_c for the other classes c, where above zero; divided by three classes
  const Tensor expected = at::tensor({0.0, (3.25 + 6.0) / 3, 2.0 / 3, (7.0 + 5.0) / 3}, at::kDouble);
  EXPECT_TRUE(at::allclose(make_objective("hinge")->losses({scores()}, labels()), expected, 1e-15, 0));
}

TEST(Objective, HuberIsSquareInsideAndStraightOutside) {
  const Tensor f = at::tensor({0.5, 3.0, -1.0, 1.0}, at::kDouble).view({2, 2}), y = at::tensor({0.0, 0.0, 4.0, 1.0}, at::kDouble).view({2, 2});
  const Tensor expected = at::tensor({(0.125 + 2 * (3 - 1.0)) / 2, (2 * (5 - 1.0) + 0) / 2}, at::kDouble);
  EXPECT_TRUE(at::allclose(make_objective("huber:2")->losses({f}, y), expected, 1e-15, 0));
}

TEST(Objective, BinaryCrossEntropyOfSeveralLabelsOrOfTwoClasses) {
  const auto bce = make_objective("bce-with-logits");
  const Tensor f = scores(), y = at::tensor({1.0, 0.0, 0.3}, at::kDouble).expand({4, 3});
  const Tensor expected = -(y * at::log_sigmoid(f) + (1 - y) * at::log_sigmoid(-f)).mean(1);
  EXPECT_TRUE(at::allclose(bce->losses({f}, y), expected, 1e-14, 1e-15));
  const Tensor one = f.select(1, 0).unsqueeze(1), classes = at::tensor({1, 0, 0, 1}, at::kLong);
  EXPECT_TRUE(at::allclose(bce->losses({one}, classes), -at::log_sigmoid(f.select(1, 0) * at::tensor({1.0, -1.0, -1.0, 1.0}, at::kDouble)), 1e-14, 1e-15));
  EXPECT_EQ(bce->outputs_for_classes(2), 1);
  EXPECT_EQ(make_objective("hinge")->outputs_for_classes(2), 2);
}

TEST(Objective, GradientIsThatOfTheFormula) {
  const Tensor y = at::tensor({0.9, 0.0, 0.3}, at::kDouble).expand({4, 3}).contiguous();
  for (const std::string name : {"label-smoothing:0.1", "hinge", "huber:0.7", "bce-with-logits", "mse"}) {
    SCOPED_TRACE(name);
    const auto objective = make_objective(name);
    const Tensor targets = objective->targets() == "classes" ? labels() : y;
    Tensor f = (scores() + 0.013).set_requires_grad(true);
    objective->losses({f}, targets).sum().backward();
    constexpr double h = 1e-6;
    for (int64_t k = 0; k < f.numel(); ++k) {
      const Tensor shift = at::zeros({12}, at::kDouble).index_put_({at::tensor({k}, at::kLong)}, at::scalar_tensor(h, at::kDouble)).view({4, 3});
      const Tensor difference = objective->losses({f.detach() + shift}, targets) - objective->losses({f.detach() - shift}, targets);
      EXPECT_NEAR(f.grad().view(-1)[k].item<double>(), difference.sum().item<double>() / (2 * h), 1e-8);
    }
  }
}

TEST(Objective, NameMakesTheSameAgain) {
  for (const char* name : {"cross-entropy", "label-smoothing:0.1", "hinge", "mse", "huber:0.5", "bce-with-logits"}) EXPECT_EQ(make_objective(name)->name(), name);
  EXPECT_EQ(make_objective("huber:5e-1")->name(), "huber:0.5");
}

TEST(Objective, RefusesNamesItCannotRead) {
  EXPECT_REFUSED(InvalidInput, "unknown loss \"l2\": use cross-entropy, label-smoothing:0.1 or hinge", make_objective("l2"));
  EXPECT_REFUSED(InvalidInput, "unknown loss \"mse:2\"", make_objective("mse:2"));
  EXPECT_REFUSED(InvalidInput, "a number behind the colon", make_objective("huber:"));
  EXPECT_REFUSED(InvalidInput, "above zero, e.g. huber:1", make_objective("huber"));
  EXPECT_REFUSED(InvalidInput, "above zero, e.g. huber:1", make_objective("huber:0"));
  EXPECT_REFUSED(InvalidInput, "below 1, e.g. label-smoothing:0.1", make_objective("label-smoothing:1"));
  EXPECT_REFUSED(InvalidInput, "below 1, e.g. label-smoothing:0.1", make_objective("label-smoothing"));
  EXPECT_REFUSED(InvalidInput, "use mean or sum", make_objective("mse", "median"));
}

TEST(Objective, ChecksTheTargetsOfTheData) {
  const Dataset two = dataset(at::tensor({0, 1}, at::kLong), {"no", "yes"}), three = dataset(at::tensor({0, 1, 2}, at::kLong), {"a", "b", "c"});
  const Dataset shares = dataset(at::tensor({0.0, 0.25, 1.0}, at::kDouble)), numbers = dataset(at::tensor({0.0, 2.5}, at::kDouble));
  for (const char* name : {"cross-entropy", "label-smoothing:0.1", "hinge"}) {
    make_objective(name)->check(three);
    EXPECT_REFUSED(InvalidInput, "these data has numbers as targets; use mse", (make_objective(name)->check(numbers), 0));
    EXPECT_REFUSED(InvalidInput, "all the same (cat)", (make_objective(name)->check(dataset(at::tensor({0, 0}, at::kLong), {"cat"})), 0));
  }
  for (const char* name : {"mse", "huber:1"}) {
    make_objective(name)->check(numbers);
    EXPECT_REFUSED(InvalidInput, "these data has class labels; use cross-entropy", (make_objective(name)->check(two), 0));
  }
  const auto bce = make_objective("bce-with-logits");
  bce->check(two);
  bce->check(shares);
  EXPECT_REFUSED(InvalidInput, "these data has 3 classes; use cross-entropy", (bce->check(three), 0));
  EXPECT_REFUSED(InvalidInput, "go from 0 to 2.5; for regression use mse", (bce->check(numbers), 0));
}

}  // namespace
}  // namespace pathkernel
