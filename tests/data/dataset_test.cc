#include <pathkernel/core/error.h>
#include <pathkernel/core/files.h>
#include <pathkernel/data/dataset.h>
#include <pathkernel/data/npy.h>

#include <ATen/ops/arange.h>
#include <ATen/ops/ones.h>
#include <ATen/ops/tensor.h>
#include <ATen/ops/zeros.h>
#include <gtest/gtest.h>
#include <scratch.h>

#include <cmath>
#include <cstdlib>

namespace pathkernel {
namespace {

using namespace std::string_literals;
using testing::Scratch;
using Names = std::vector<std::string>;

/// Sets PATHKERNEL_DATA for one test.
class DataFolder {
 public:
  explicit DataFolder(const std::string& folder) {
    if (const char* before = std::getenv("PATHKERNEL_DATA")) before_ = before, was_set_ = true;
    ::setenv("PATHKERNEL_DATA", folder.c_str(), 1);
  }
  ~DataFolder() { was_set_ ? ::setenv("PATHKERNEL_DATA", before_.c_str(), 1) : ::unsetenv("PATHKERNEL_DATA"); }

 private:
  std::string before_;
  bool was_set_ = false;
};

/// Three training images of 1 x 2 and one test image, as idx files.
void write_tiny_idx(const std::string& folder, const std::string& joint = "-") {
  std::filesystem::create_directories(folder);
  const auto path = [&](const std::string& part, const std::string& kind) { return folder + "/" + part + joint + kind + "-ubyte"; };
  write_file(path("train-images", "idx3"), "\0\0\x08\x03\0\0\0\3\0\0\0\1\0\0\0\2\0\xff\x33\0\0\0"s);
  write_file(path("train-labels", "idx1"), "\0\0\x08\x01\0\0\0\3\0\2\1"s);
  write_file(path("t10k-images", "idx3"), "\0\0\x08\x03\0\0\0\1\0\0\0\1\0\0\0\2\xff\xff"s);
  write_file(path("t10k-labels", "idx1"), "\0\0\x08\x01\0\0\0\1\1"s);
}

void write_pair(const Scratch& folder, const std::string& part, const Tensor& x, const Tensor& y) {
  write_npy(folder.path(part + "_x.npy"), x);
  write_npy(folder.path(part + "_y.npy"), y);
}

TEST(Load, IdxFolderInBothSpellings) {
  for (const char* joint : {"-", "."}) {
    const Scratch scratch;
    write_tiny_idx(scratch.path(), joint);
    const TrainTest parts = load({.location = scratch.path()});
    EXPECT_EQ(describe(parts.train.inputs), "float32 [3, 1, 1, 2]");
    EXPECT_TRUE(parts.train.inputs.flatten().equal(at::tensor({0.f, 1.f, 0.2f, 0.f, 0.f, 0.f})));
    EXPECT_TRUE(parts.train.targets.equal(at::tensor({0, 2, 1}, at::kLong)));
    EXPECT_EQ(parts.train.class_names, (Names{"0", "1", "2"}));
    EXPECT_EQ(parts.test.class_names, parts.train.class_names);
    EXPECT_EQ(parts.test.size(), 1);
    EXPECT_TRUE(parts.train.name.ends_with(" train")) << parts.train.name;
  }
}

TEST(Load, LooksInPathkernelDataFirst) {
  const Scratch scratch;
  write_tiny_idx(scratch.path("fashion-mnist"));
  const DataFolder environment(scratch.path());
  const TrainTest parts = load({.location = "fashion-mnist"});
  EXPECT_EQ(parts.train.size(), 3);
  EXPECT_EQ(parts.train.name, "fashion-mnist train");
  EXPECT_EQ(parts.train.class_names[9], "ankle boot");
}

TEST(Load, BareFilesInPathkernelDataAreMnistOnly) {
  const Scratch scratch;
  write_tiny_idx(scratch.path());
  const DataFolder environment(scratch.path());
  EXPECT_EQ(load({.location = "mnist"}).train.size(), 3);
}

TEST(Load, NpyPairs) {
  const Scratch scratch;
  write_pair(scratch, "train", at::arange(6, at::kFloat).reshape({3, 2}), at::tensor({0, 1, 1}, at::kInt));
  const TrainTest classes = load({.location = scratch.path()});
  EXPECT_EQ(classes.train.class_names, (Names{"0", "1"}));
  EXPECT_EQ(describe(classes.test.inputs), "float32 [0, 2]") << "no test files: an empty test part";
  write_pair(scratch, "train", at::arange(6).reshape({3, 2}), at::ones({3, 1}, at::kDouble));
  write_pair(scratch, "test", at::ones({1, 2}, at::kDouble), at::ones({1}, at::kDouble));
  const TrainTest regression = load({.location = scratch.path()});
  EXPECT_FALSE(regression.train.is_classification());
  EXPECT_EQ(describe(regression.train.inputs), "float32 [3, 2]");
  EXPECT_EQ(describe(regression.train.targets), "float64 [3]");
  EXPECT_EQ(regression.test.size(), 1);
}

TEST(Load, CsvWithItsTestPart) {
  const Scratch scratch;
  write_file(scratch.path("iris.csv"), "a,kind\n1,x\n2,z\n3,x\n");
  write_file(scratch.path("iris.test.csv"), "a,kind\n4,z\n");
  const TrainTest parts = load({.location = scratch.path("iris.csv"), .label_column = "kind", .limit = 2});
  EXPECT_EQ(parts.train.name, "iris.csv train");
  EXPECT_EQ(parts.train.size(), 2);
  EXPECT_EQ(parts.test.size(), 1) << "limit cuts the training part alone";
  EXPECT_EQ(parts.test.targets.item<int64_t>(), 1);
}

TEST(Load, CsvOfWholeNumbersAsARegression) {
  const Scratch scratch;
  write_file(scratch.path("rings.csv"), "a,rings\n1,9\n2,11\n3,9\n");
  write_file(scratch.path("rings.test.csv"), "a,rings\n4,10\n");  // a value that no training example has
  DataSource source{.location = scratch.path("rings.csv"), .label_column = "rings"};
  EXPECT_REFUSED(InvalidInput, "'10' in the label column 'rings' is not among the classes", load(source));
  source.targets = "numbers";
  const TrainTest parts = load(source);
  EXPECT_FALSE(parts.train.is_classification());
  EXPECT_EQ(parts.test.targets.item<double>(), 10);
}

TEST(Load, RefusesWhatDoesNotFitTogether) {
  const Scratch scratch;
  const DataSource source = {.location = scratch.path()};
  EXPECT_REFUSED(InvalidInput, "holds neither", load(source));
  EXPECT_REFUSED(InvalidInput, "is no data: expected mnist", load({.location = "minst"}));
  EXPECT_REFUSED(InvalidInput, "belongs to a .csv file", load({.location = "mnist", .label_column = "y"}));
  EXPECT_REFUSED(InvalidInput, "a choice for a .csv file", load({.location = "mnist", .targets = "numbers"}));
  EXPECT_REFUSED(InvalidInput, "limit -1", load({.location = "mnist", .limit = -1}));
  write_npy(scratch.path("train_x.npy"), at::ones({3, 2}));
  EXPECT_REFUSED(InvalidInput, "train_x.npy is there, but train_y.npy is missing", load(source));
  write_npy(scratch.path("train_y.npy"), at::zeros({2}, at::kLong));
  EXPECT_REFUSED(InvalidInput, "has 3 examples, but", load(source));
  write_npy(scratch.path("train_y.npy"), at::tensor({0, -1, 1}, at::kLong));
  EXPECT_REFUSED(InvalidInput, "row 1: the label -1 is not in 0..1", load(source));
  write_npy(scratch.path("train_y.npy"), at::tensor({0, 1, 5'000'000}, at::kLong));
  EXPECT_REFUSED(InvalidInput, "largest label is 5000000", load(source));
  write_npy(scratch.path("train_y.npy"), at::tensor({0, 1, 1}, at::kLong));
  write_pair(scratch, "test", at::ones({1, 3}), at::zeros({1}, at::kLong));
  EXPECT_REFUSED(InvalidInput, "only the number of examples may differ", load(source));
  write_pair(scratch, "test", at::ones({1, 2}), at::tensor({2}, at::kLong));
  EXPECT_REFUSED(InvalidInput, "row 0: the label 2 is not in 0..1", load(source));
  write_pair(scratch, "test", at::ones({1, 2}), at::ones({1}));
  EXPECT_REFUSED(InvalidInput, "only the number of examples may differ", load(source));
}

TEST(Load, RefusesNanAndInfinityWithTheirRow) {
  for (const float bad : {std::nanf(""), HUGE_VALF}) {
    const Scratch scratch;
    Tensor x = at::ones({3, 2});
    write_pair(scratch, "test", x, at::zeros({3}));
    x = x.clone();
    x[1][1].fill_(bad);
    write_pair(scratch, "train", x, at::zeros({3}));
    EXPECT_REFUSED(InvalidInput, "row 1 of the inputs holds NaN or infinity", load({.location = scratch.path()}));
    write_pair(scratch, "train", at::ones({3, 2}), x.select(1, 1));
    EXPECT_REFUSED(InvalidInput, "row 1 of the targets", load({.location = scratch.path()}));
    write_pair(scratch, "train", at::ones({3, 2}), at::zeros({3}));
    write_pair(scratch, "test", x, at::zeros({3}));
    EXPECT_REFUSED(InvalidInput, "test: row 1 of the inputs", load({.location = scratch.path()}));
  }
}

TEST(Load, SaysHowToGetWhatIsMissing) {
  const Scratch scratch;
  write_tiny_idx(scratch.path("mnist"));
  std::filesystem::remove(scratch.path("mnist/train-labels-idx1-ubyte"));
  const DataFolder environment(scratch.path());
  EXPECT_REFUSED(InvalidInput, "train-labels-idx1-ubyte is missing", load({.location = "mnist"}));
  write_file(scratch.path("empty_x"), "");
  std::filesystem::remove_all(scratch.path("mnist"));
  write_pair(scratch, "train", at::ones({0, 2}), at::ones({0}));
  EXPECT_REFUSED(InvalidInput, "nothing to learn from", load({.location = scratch.path()}));
}

TEST(Load, KnownSets) {
  struct Expected {
    const char* name;
    const char *train, *test;
  };
  for (const Expected& set : {Expected{"mnist", "float32 [60000, 1, 28, 28]", "float32 [10000, 1, 28, 28]"},
                              {"fashion-mnist", "float32 [60000, 1, 28, 28]", "float32 [10000, 1, 28, 28]"},
                              {"digits", "float32 [1437, 1, 8, 8]", "float32 [360, 1, 8, 8]"}}) {
    TrainTest parts;
    try {
      parts = load({.location = set.name});
    } catch (const InvalidInput& missing) {
      GTEST_SKIP() << missing.what();
    }
    EXPECT_EQ(describe(parts.train.inputs), set.train);
    EXPECT_EQ(describe(parts.test.inputs), set.test);
    EXPECT_EQ(parts.train.class_names.size(), 10u);
    EXPECT_EQ(parts.train.inputs.min().item<float>(), 0.f);
    EXPECT_EQ(parts.train.inputs.max().item<float>(), 1.f);
    EXPECT_EQ(parts.train.targets.max().item<int64_t>(), 9);
  }
}

TEST(Dataset, FingerprintSeesExamplesLabelsAndClasses) {
  Dataset data{"a", at::ones({2, 2}), at::zeros({2}, at::kLong), {"x", "y"}, {}};
  const uint64_t original = fingerprint(data);
  Dataset other = data;
  other.name = "renamed";
  EXPECT_EQ(fingerprint(other), original);
  other.inputs = data.inputs.mul(2);
  EXPECT_NE(fingerprint(other), original);
  other = data;
  other.targets = at::ones({2}, at::kLong);
  EXPECT_NE(fingerprint(other), original);
  other = data;
  other.class_names = {"x", "z"};
  EXPECT_NE(fingerprint(other), original);
}

TEST(Dataset, TakeGivesRowsInOrder) {
  const Dataset data{"a", at::arange(6, at::kFloat).reshape({3, 2}), at::tensor({5, 6, 7}, at::kLong), {}, {}};
  const Batch batch = take(data, at::tensor({2, 0, 2}, at::kLong), at::kDouble);
  EXPECT_EQ(batch.size(), 3);
  EXPECT_TRUE(batch.inputs.at(0).equal(at::tensor({4, 5, 0, 1, 4, 5}, at::kDouble).reshape({3, 2})));
  EXPECT_TRUE(batch.targets.equal(at::tensor({7, 5, 7}, at::kLong))) << "class numbers stay int64";
  EXPECT_REFUSED(InvalidInput, "example 3 is asked for, but there are 3", take(data, at::tensor({3}, at::kLong), at::kFloat));
  EXPECT_REFUSED(InvalidInput, "example -1 is asked for", take(data, at::tensor({-1}, at::kLong), at::kFloat));
  EXPECT_REFUSED(InvalidInput, "expected int64 [n]", take(data, at::tensor({0}, at::kInt), at::kFloat));
}

}  // namespace
}  // namespace pathkernel
