// How well a ranking finds known label errors, and what suspects.csv says of each suspect.

#include <pathkernel/explain/audit.h>
#include <pathkernel/explain/audit_files.h>

#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>

namespace pathkernel {
namespace {

Tensor numbers(const std::vector<double>& x) { return at::tensor(x, at::kDouble); }

TEST(Detection, TiesCountHalf) {
  const Tensor errors = at::tensor({1, 0, 1, 0, 0}, at::kLong).to(at::kBool);
  const Detection d = detection({"some", "", numbers({3, 3, 1, 0, 2})}, errors, {1, 2, 5});
  EXPECT_DOUBLE_EQ(d.auc, (2.5 + 1) / 6);  // of the six pairs the first error wins two and ties one, the second wins one
  EXPECT_EQ(d.precision, (std::vector<double>{1, 0.5, 0.4})) << "of equals the first comes first";
  EXPECT_DOUBLE_EQ(detection({"all the same", "", numbers({7, 7, 7, 7, 7})}, errors, {}).auc, 0.5);
}

TEST(Suspects, SayWhoseLossTheyPushedUpMost) {
  Audit audit;
  audit.methods = {{"path", "", numbers({0.5, 2, -1})}, {"final_loss", "", numbers({1, 2, 3})}};
  audit.by_class = numbers({0.1, 0.7, 0.2, 3, -1, 2.5, -4, -2, -3}).view({3, 3});
  audit.classes = {"cat", "dog", "a,\"b\""};
  audit.predicted = at::tensor({0, 2, 1}, at::kLong);
  Dataset data;
  data.class_names = audit.classes;
  data.targets = at::tensor({0, 1, 2}, at::kLong);
  const LabelFlips flips{0.3, 1, {1}, {2}, {1}};
  EXPECT_EQ(suspects_csv(audit, audit.method("path"), data, flips, 2), "rank,example,label,predicted,path,final_loss,most_harmed_class,its_loss,flipped_from\n"
                                                                       "1,1,dog,\"a,\"\"b\"\"\",2,2,cat,3,\"a,\"\"b\"\"\"\n"
                                                                       "2,0,cat,cat,0.5,1,dog,0.7,\n");
  EXPECT_EQ(suspects_csv(audit, audit.method("final_loss"), data, {}, 1), "rank,example,label,predicted,path,final_loss,most_harmed_class,its_loss\n1,2,\"a,\"\"b\"\"\",dog,-1,3,dog,-2\n");
}

}  // namespace
}  // namespace pathkernel
