#include <pathkernel/explain/example_words.h>

#include <ATen/ATen.h>
#include <gtest/gtest.h>

namespace pathkernel {
namespace {

TEST(ExampleWords, ATextIsOneLineInQuotes) {
  Dataset data;
  data.texts = {"first\nline\tand caf\xc3\xa9", "x"};
  EXPECT_EQ(example_in_words(data, 0, 100), "\"first line and caf\xc3\xa9\"");
  EXPECT_EQ(shortened("caf\xc3\xa9s", 4), "caf\xc3\xa9…") << "letters are not cut in two";
  EXPECT_EQ(shortened("caf\xc3\xa9", 4), "caf\xc3\xa9");
}

TEST(ExampleWords, ARowHasItsOwnNumbersAndNames) {
  Dataset data;
  data.input_names = {"width", "price"};
  data.inputs = at::tensor({0.5, -1.0}, at::kDouble).view({1, 2});
  EXPECT_EQ(example_in_words(data, 0, 100), "width 0.5, price -1");
  data.raw = at::tensor({5.25, 1999.0}, at::kDouble).view({1, 2});
  EXPECT_EQ(example_in_words(data, 0, 100), "width 5.25, price 1999");
  EXPECT_EQ(example_in_words(data, 0, 12), "width 5.25, …");
}

TEST(ExampleWords, AnImageHasNone) {
  Dataset data;
  data.inputs = at::zeros({1, 1, 2, 2});
  EXPECT_EQ(example_in_words(data, 0, 100), "");
}

}  // namespace
}  // namespace pathkernel
