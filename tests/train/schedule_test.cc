// Closed forms; tests/python/test_schedules.py compares with torch.optim.lr_scheduler.
#include <pathkernel/core/error.h>
#include <pathkernel/train/schedule.h>

#include <gtest/gtest.h>
#include <scratch.h>

namespace pathkernel {
namespace {

TEST(Schedule, CosineFallsFromLrToZero) {
  const OptimizerSettings s{.lr = 0.5, .schedule = "cosine"};
  EXPECT_EQ(learning_rate(s, 0, 100), 0.5);
  EXPECT_NEAR(learning_rate(s, 50, 100), 0.25, 1e-15);
  EXPECT_NEAR(learning_rate(s, 100, 100), 0, 1e-15);
}

TEST(Schedule, StepFallsEveryFewSteps) {
  const OptimizerSettings s{.lr = 0.5, .schedule = "step", .lr_step = 10, .lr_gamma = 0.1};
  for (const auto& [step, lr] : {std::pair{0, 0.5}, {9, 0.5}, {10, 0.05}, {19, 0.05}, {20, 0.005}, {35, 0.0005}})
    EXPECT_NEAR(learning_rate(s, step, 100), lr, 1e-16) << step;
}

TEST(Schedule, OneCycleRisesAndFalls) {
  const OptimizerSettings s{.lr = 0.5, .schedule = "one-cycle"};
  EXPECT_NEAR(learning_rate(s, 0, 100), 0.5 / 25, 1e-15);
  EXPECT_NEAR(learning_rate(s, 29, 100), 0.5, 1e-15);
  EXPECT_NEAR(learning_rate(s, 99, 100), 0.5 / 250000, 1e-15);
  for (int64_t step = 1; step < 100; ++step) {
    if (step <= 29) EXPECT_GT(learning_rate(s, step, 100), learning_rate(s, step - 1, 100));
    else EXPECT_LT(learning_rate(s, step, 100), learning_rate(s, step - 1, 100));
  }
}

TEST(Schedule, WarmUpLeadsEvenlyToTheScheduleBehindIt) {
  const OptimizerSettings constant{.lr = 0.5, .warmup = 4};
  for (const auto& [step, lr] : {std::pair{0, 0.1}, {1, 0.2}, {2, 0.3}, {3, 0.4}, {4, 0.5}, {9, 0.5}})
    EXPECT_NEAR(learning_rate(constant, step, 10), lr, 1e-16) << step;

  for (const std::string schedule : {"constant", "step", "cosine", "one-cycle"}) {
    OptimizerSettings with{.lr = 0.5, .schedule = schedule, .warmup = 7, .lr_step = schedule == "step" ? 10 : 0}, without = with;
    without.warmup = 0;
    for (int64_t step = 0; step < 7; ++step)
      EXPECT_NEAR(learning_rate(with, step, 57), learning_rate(without, 0, 50) * static_cast<double>(step + 1) / 8, 1e-16) << schedule << step;
    for (int64_t step = 7; step < 57; ++step) EXPECT_EQ(learning_rate(with, step, 57), learning_rate(without, step - 7, 50)) << schedule << step;
  }
}

TEST(Schedule, RefusesWhatItCannotFollow) {
  const auto rate = [](const OptimizerSettings& s) { return learning_rate(s, 0, 10); };
  EXPECT_REFUSED(InvalidInput, "use constant, step, cosine or one-cycle", rate({.schedule = "linear"}));
  EXPECT_REFUSED(InvalidInput, "leaves nothing of a run of 10", rate({.warmup = 10}));
  EXPECT_REFUSED(InvalidInput, "0 steps or more", rate({.warmup = -1}));
  EXPECT_REFUSED(InvalidInput, "1 or more", rate({.schedule = "step"}));
  EXPECT_REFUSED(InvalidInput, "cosine has no setting lr_step", rate({.schedule = "cosine", .lr_step = 3}));
  EXPECT_REFUSED(InvalidInput, "lr_gamma must be a number above 0", rate({.schedule = "step", .lr_step = 3, .lr_gamma = 0}));
}

}  // namespace
}  // namespace pathkernel
