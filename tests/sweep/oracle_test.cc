// The tables of theory 2.8 (line integral) and 3b (secant), and theory's orders of the quadrature rules.

#include <gtest/gtest.h>

#include "sweep/small_runs.h"

namespace pathkernel {
namespace {

struct Row {
  const char* name;
  OptimizerSettings optimizer;
  Convention convention;
  double change, c0, c1, decay;
};

OptimizerSettings sgd(double momentum, double dampening, bool nesterov, double wd) {
  OptimizerSettings s;
  s.lr = 0.1, s.momentum = momentum, s.dampening = dampening, s.nesterov = nesterov, s.weight_decay = wd;
  return s;
}
OptimizerSettings adam(const char* name, double wd) {
  OptimizerSettings s;
  s.name = name, s.lr = 0.1, s.weight_decay = wd;
  return s;
}

constexpr Convention A = Convention::ledger, B = Convention::propagate;

const std::vector<Row> line_integral = {
    {"sgd", sgd(0, 0, false, 0), B, 0.024413215043, 0.041408157096, -0.016994942053, 0},
    {"heavy ball A", sgd(.9, .2, false, .1), A, 0.063358101758, 0.079492217856, -0.027536504844, 0.011402388746},
    {"heavy ball B", sgd(.9, .2, false, .1), B, 0.063358101758, 0.078430417034, -0.027249016848, 0.012176701572},
    {"nesterov B", sgd(.9, 0, true, .1), B, 0.078106739172, 0.102429051050, -0.040670518466, 0.016348206588},
    {"adam", adam("adam", 0), B, 0.094586065622, 0.142704709291, -0.048118643669, 0},
    {"adam L2 B", adam("adam", .1), B, 0.096934120024, 0.115236224812, -0.039170735849, 0.020868631062},
    {"adamw A", adam("adamw", .1), A, 0.095959433635, 0.139803900446, -0.046933748803, 0.003089281992},
    {"adamw B", adam("adamw", .1), B, 0.095959433635, 0.138016920334, -0.046369401083, 0.004311914383},
};

const std::vector<Row> secant = {
    {"sgd", sgd(0, 0, false, 0), B, 0.024413215043, 0.041408137426, -0.016994922382, 0},
    {"heavy ball A", sgd(.9, .2, false, .1), A, 0.063358101758, 0.079490415816, -0.027535350617, 0.011403036559},
    {"heavy ball B", sgd(.9, .2, false, .1), B, 0.063358101758, 0.078428646156, -0.027247876472, 0.012177332073},
    {"nesterov A", sgd(.9, 0, true, .1), A, 0.078106739172, 0.105530580092, -0.041529752888, 0.014105911968},
    {"nesterov B", sgd(.9, 0, true, .1), B, 0.078106739172, 0.102424624530, -0.040667847804, 0.016349962445},
    {"adam", adam("adam", 0), B, 0.094586065622, 0.142695194064, -0.048109128442, 0},
    {"adam L2 A", adam("adam", .1), A, 0.096934120024, 0.118486999199, -0.040170297366, 0.018617418191},
    {"adam L2 B", adam("adam", .1), B, 0.096934120024, 0.115217345408, -0.039159412914, 0.020876187530},
    {"adamw A", adam("adamw", .1), A, 0.095959433635, 0.139792418625, -0.046923126406, 0.003090141416},
    {"adamw B", adam("adamw", .1), B, 0.095959433635, 0.138005604599, -0.046358883370, 0.004312712405},
};

Ledger run(const Row& row, const std::string& rule) {
  const testing::Scratch folder;
  testing::OracleModel model;
  const Dataset data = testing::oracle_data();
  record_run(folder.path("run"), testing::manifest(row.optimizer, "mse", 2), model, data,
             {testing::batch({0, 1}), testing::batch({0}), testing::batch({1}), testing::batch({0, 1})});
  testing::OracleModel again;
  Queries query;
  query.inputs = {at::tensor({0.7}, at::kDouble).view({1, 1})};
  query.info.resize(1);
  SweepOptions options;
  options.rule = GradientRule::parse(rule, 1);
  options.convention = row.convention;
  options.precision = at::kDouble;
  options.measure = "output:0";
  return sweep(Recording::open(folder.path("run")), again, data, query, options);
}

void compare(const std::vector<Row>& table, const std::string& rule) {
  for (const Row& row : table) {
    SCOPED_TRACE(row.name);
    const Ledger ledger = run(row, rule);
    const auto number = [](const Tensor& t) { return t.item<double>() * M_SQRT2; };  // the model's 1/√2 taken out again
    EXPECT_NEAR(number(ledger.final - ledger.initial), row.change, 1e-10);
    EXPECT_NEAR(number(ledger.contributions[0]), row.c0, 1e-10);
    EXPECT_NEAR(number(ledger.contributions[1]), row.c1, 1e-10);
    EXPECT_NEAR(number(ledger.decay), row.decay, 1e-10);
    EXPECT_LE(std::abs(number(ledger.residual)), rule == "secant" ? 1e-15 : 1e-12);
    EXPECT_LE(std::abs(number(ledger.rounding)), 1e-14);
  }
}

TEST(Oracle, LineIntegralOfTheory28) { compare(line_integral, "gauss:20"); }
TEST(Oracle, SecantOfTheory3b) { compare(secant, "secant"); }

}  // namespace
}  // namespace pathkernel
