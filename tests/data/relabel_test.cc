#include <pathkernel/core/error.h>
#include <pathkernel/core/files.h>
#include <pathkernel/data/relabel.h>

#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>
#include <scratch.h>

#include <memory>

namespace pathkernel {
namespace {

using testing::Scratch;
using Numbers = std::vector<int64_t>;

Dataset classes() {
  Dataset data;
  data.name = "pets train";
  data.inputs = at::zeros({4, 2});
  data.targets = at::tensor({0, 1, 2, 1}, at::kLong);
  data.class_names = {"cat", "dog", "10"};
  return data;
}

TEST(Relabelled, ClassesGoByTheirNames) {
  const Dataset before = classes();
  const Dataset after = relabelled(before, {{1, "10"}, {3, "10"}, {3, "cat"}});
  EXPECT_TRUE(after.targets.equal(at::tensor({0, 2, 2, 0}, at::kLong)));
  EXPECT_TRUE(before.targets.equal(at::tensor({0, 1, 2, 1}, at::kLong))) << "the original is left alone";
  EXPECT_NE(fingerprint(before), fingerprint(after));
}

TEST(Relabelled, NumbersAreNumbers) {
  Dataset data;
  data.inputs = at::zeros({2, 1});
  data.targets = at::tensor({1.5, -2.0}, at::kDouble);
  EXPECT_TRUE(relabelled(data, {{1, "2.25e1"}}).targets.equal(at::tensor({1.5, 22.5}, at::kDouble)));
  EXPECT_REFUSED(InvalidInput, "numbers", relabelled(data, {{1, "dog"}}));
  EXPECT_REFUSED(InvalidInput, "numbers", relabelled(data, {{1, "nan"}}));
  data.targets = at::zeros({2, 3}, at::kDouble);
  EXPECT_REFUSED(InvalidInput, "one label each", relabelled(data, {{1, "1"}}));
}

/// Examples that are made when they are drawn: example i is (i, i mod 3).
class Drawn : public ExampleSource {
 public:
  int64_t size() const override { return 4; }
  Batch take(const Tensor& indices, uint64_t) const override { return {{indices.to(at::kDouble).unsqueeze(1)}, indices.remainder(3), indices}; }
  uint64_t fingerprint() const override { return 7; }
};

TEST(Relabelled, ExamplesThatAreDrawnGetTheirLabelsThen) {
  Dataset before = classes();
  before.inputs = Tensor();
  before.source = std::make_shared<Drawn>();
  const Dataset after = relabelled(before, {{1, "10"}, {3, "10"}, {3, "dog"}});
  const Tensor rows = at::tensor({3, 0, 1}, at::kLong);
  EXPECT_TRUE(take(after, rows, at::kDouble, 5).targets.equal(at::tensor({1, 0, 2}, at::kLong)));
  EXPECT_TRUE(take(before, rows, at::kDouble, 5).targets.equal(at::tensor({0, 0, 1}, at::kLong))) << "the original is left alone";
  EXPECT_EQ(after.size(), 4);
  EXPECT_TRUE(after.targets.equal(at::tensor({0, 2, 2, 1}, at::kLong)));
  EXPECT_NE(fingerprint(before), fingerprint(after));
  EXPECT_NE(fingerprint(after), fingerprint(relabelled(before, {{1, "10"}, {3, "cat"}})));
  before.targets = Tensor();
  EXPECT_REFUSED(InvalidInput, "known only when they are drawn", relabelled(before, {{1, "10"}}));
}

TEST(Relabelled, WhatIsNotThereIsRefused) {
  EXPECT_REFUSED(InvalidInput, "example 4", relabelled(classes(), {{4, "cat"}}));
  EXPECT_REFUSED(InvalidInput, "none of the classes: cat, dog, 10", relabelled(classes(), {{0, "bird"}}));
}

TEST(Relabelled, IsPartOfLoading) {
  const Scratch scratch;
  write_file(scratch.path("pets.csv"), "x,pet\n1,cat\n2,dog\n3,cat\n");
  DataSource source{.location = scratch.path("pets.csv"), .label_column = "pet"};
  source.relabelled = {{1, "cat"}};
  const Dataset train = load(source).train;
  EXPECT_TRUE(train.targets.equal(at::tensor({0, 0, 0}, at::kLong)));
  EXPECT_EQ(train.class_names, (std::vector<std::string>{"cat", "dog"}));
}

TEST(Relabellings, AreReadFromTwoColumns) {
  const Scratch scratch;
  write_file(scratch.path("a.csv"), "rank,label,example\n1,\"a,b\",17\n2,7,3\n");
  EXPECT_EQ(read_relabellings(scratch.path("a.csv")), (std::vector<Relabelling>{{17, "a,b"}, {3, "7"}}));
  write_file(scratch.path("b.csv"), "example,y\n1,2\n");
  EXPECT_REFUSED(InvalidInput, "no column 'label'", read_relabellings(scratch.path("b.csv")));
  write_file(scratch.path("c.csv"), "example,label\n1,2\n-1,3\n");
  EXPECT_REFUSED(InvalidInput, "line 3: '-1'", read_relabellings(scratch.path("c.csv")));
  write_file(scratch.path("twice.csv"), "example,label\n1,2\n3,0\n1,0\n");
  EXPECT_REFUSED(InvalidInput, "line 4: example 1 is named a second time", read_relabellings(scratch.path("twice.csv")));
  write_file(scratch.path("d.csv"), "example,label\n");
  EXPECT_REFUSED(InvalidInput, "names no examples", read_relabellings(scratch.path("d.csv")));
}

TEST(Examples, AreAListOrAFile) {
  const Scratch scratch;
  EXPECT_EQ(read_examples("9-12,3,5,10", 20), (Numbers{3, 5, 9, 10, 11, 12}));
  write_file(scratch.path("list.txt"), "# suspects\n4, 7-8\n\t2\r\n19  # the last\n");
  EXPECT_EQ(read_examples(scratch.path("list.txt"), 20), (Numbers{2, 4, 7, 8, 19}));
  write_file(scratch.path("suspects.csv"), "rank,example\n1,19\n2,0\n");
  EXPECT_EQ(read_examples(scratch.path("suspects.csv"), 20), (Numbers{0, 19}));
}

TEST(Examples, WhatIsNoneIsRefused) {
  EXPECT_REFUSED(InvalidInput, "there are 20", read_examples("20", 20));
  EXPECT_REFUSED(InvalidInput, "row 999999999999 is out of range", read_examples("0-999999999999", 20));
  EXPECT_REFUSED(InvalidInput, "runs backwards", read_examples("7-3", 20));
  EXPECT_REFUSED(InvalidInput, "'-3' is no row number", read_examples("-3", 20));
  EXPECT_REFUSED(InvalidInput, "names no examples", read_examples(",", 20));
  const Scratch scratch;
  write_file(scratch.path("words.txt"), "three\n");
  EXPECT_REFUSED(InvalidInput, "words.txt: 'three'", read_examples(scratch.path("words.txt"), 20));
}

TEST(Examples, ListsAreBrief) {
  EXPECT_EQ(brief_list({1, 2, 3, 5, 8, 9}), "1-3,5,8-9");
  EXPECT_EQ(read_examples(brief_list({1, 2, 3, 5, 8, 9}), 10), (Numbers{1, 2, 3, 5, 8, 9}));
  EXPECT_EQ(brief_list({}), "");
}

}  // namespace
}  // namespace pathkernel
