#include <pathkernel/core/error.h>
#include <pathkernel/core/files.h>
#include <pathkernel/data/csv.h>
#include <pathkernel/data/table.h>

#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>
#include <scratch.h>

namespace pathkernel {
namespace {

using testing::Scratch;
using Rows = std::vector<std::vector<std::string>>;
using Names = std::vector<std::string>;

Rows rows_of(const std::string& text, std::vector<int64_t>* lines = nullptr) {
  Rows rows;
  for_each_csv_record("text", text, [&](const Names& fields, int64_t line) {
    rows.push_back(fields);
    if (lines != nullptr) lines->push_back(line);
  });
  return rows;
}

Dataset table_of(const std::string& text, const std::string& label = "y", const std::string& targets = "auto") {
  const Scratch scratch;
  write_file(scratch.path("t.csv"), text);
  return read_table(scratch.path("t.csv"), label, targets);
}

TEST(Csv, FollowsRfc4180) {
  EXPECT_EQ(rows_of("a,b\n1,2\n"), (Rows{{"a", "b"}, {"1", "2"}}));
  EXPECT_EQ(rows_of("a,b\r\n1,2"), (Rows{{"a", "b"}, {"1", "2"}})) << "CRLF, no line end at the end";
  EXPECT_EQ(rows_of("\"x, y\",\"say \"\"hi\"\"\",\"two\nlines\"\n"), (Rows{{"x, y", "say \"hi\"", "two\nlines"}}));
  EXPECT_EQ(rows_of(",\n\"\",\n"), (Rows{{"", ""}, {"", ""}}));
  EXPECT_EQ(rows_of("a,\"b\"\r\n"), (Rows{{"a", "b"}}));
  EXPECT_EQ(rows_of("a\n\n\r\nb\n"), (Rows{{"a"}, {"b"}})) << "empty lines are skipped";
  EXPECT_EQ(rows_of("\xef\xbb\xbf" "a\n"), (Rows{{"a"}})) << "byte order mark";
  EXPECT_EQ(rows_of("a,"), (Rows{{"a", ""}}));
  EXPECT_EQ(rows_of(""), Rows{});
  std::vector<int64_t> lines;
  rows_of("a\n\n\"b\nb\"\nc\n", &lines);
  EXPECT_EQ(lines, (std::vector<int64_t>{1, 3, 5}));
  EXPECT_REFUSED(InvalidInput, "text, line 2: a double quote is opened, but never closed", rows_of("a\n\"b\n"));
  EXPECT_REFUSED(InvalidInput, "line 1: a double quote stands inside", rows_of("a\"b\n"));
  EXPECT_REFUSED(InvalidInput, "text after a quoted one", rows_of("\"a\"b\n"));
}

TEST(Csv, RefusesWhatIsNoUtf8) {
  for (const char* sound : {"gr\u00f6\u00dfe\n", "\u0800\ud7ff\ue000\uffff\n", "\U00010000\U0010ffff\n"}) EXPECT_EQ(rows_of(sound).size(), 1u);
  // alone, cut off, overlong, a surrogate, beyond U+10FFFF, Latin-1
  for (const char* bad : {"\x80", "\xc3", "\xc3(", "\xe2\x82", "\xf0\x9f\x92", "\xc0\xaf", "\xe0\x9f\xbf", "\xf0\x8f\xbf\xbf", "\xed\xa0\x80", "\xf4\x90\x80\x80", "gr\xf6\xdf" "e"})
    EXPECT_REFUSED(InvalidInput, "text, line 2: the byte ", rows_of(std::string("a\n") + bad));
}

TEST(Table, IntegersAndTextsAreClasses) {
  const Dataset numbers = table_of("y,a,b\n10,1,2.5\n2,-3,+4e1\n10, 5 ,6\n");
  EXPECT_EQ(numbers.class_names, (Names{"2", "10"}));
  EXPECT_TRUE(numbers.targets.equal(at::tensor({1, 0, 1}, at::kLong)));
  EXPECT_EQ(numbers.input_names, (Names{"a", "b"}));
  EXPECT_TRUE(numbers.inputs.equal(at::tensor({1.0, 2.5, -3.0, 40.0, 5.0, 6.0}, at::kDouble).reshape({3, 2})));
  const Dataset texts = table_of("a,y\n1,setosa\n2,versicolor\n3, setosa\n");
  EXPECT_EQ(texts.class_names, (Names{"setosa", "versicolor"}));
  EXPECT_TRUE(texts.targets.equal(at::tensor({0, 1, 0}, at::kLong)));
  EXPECT_EQ(table_of("a,y\n1,1\n2,unknown\n").class_names, (Names{"1", "unknown"}));
}

TEST(Table, OtherNumbersAreRegressedOn) {
  const Dataset decimals = table_of("a,y\n1,0.5\n2,2\n");
  EXPECT_FALSE(decimals.is_classification());
  EXPECT_TRUE(decimals.targets.equal(at::tensor({0.5, 2.0}, at::kDouble)));
  EXPECT_FALSE(table_of("a,y\n1,1.0\n2,2.0\n").is_classification()) << "spelled as decimals";
  std::string many = "a,y\n";
  for (int i = 0; i < 100; ++i) many += "0," + std::to_string(i) + "\n";
  EXPECT_TRUE(table_of(many).is_classification());
  EXPECT_FALSE(table_of(many + "0,100\n").is_classification()) << "101 different integers";
}

TEST(Table, TargetsAreReadAsAskedFor) {
  const Dataset numbers = table_of("a,y\n1,3\n2,5\n3,3\n", "y", "numbers");
  EXPECT_FALSE(numbers.is_classification());
  EXPECT_TRUE(numbers.targets.equal(at::tensor({3.0, 5.0, 3.0}, at::kDouble)));
  EXPECT_REFUSED(InvalidInput, "line 3: 'red' in the label column", table_of("a,y\n1,3\n2,red\n", "y", "numbers"));
  std::string many = "a,y\n";
  for (int i = 0; i < 150; ++i) many += "0," + std::to_string(i) + "\n";
  EXPECT_EQ(table_of(many, "y", "classes").class_names.size(), 150u);
  EXPECT_EQ(table_of("a,y\n1,red\n2,3\n", "y", "classes").class_names, (Names{"3", "red"}));
  EXPECT_REFUSED(InvalidInput, "line 3: the label column 'y' is to hold classes, but here '2.5'", table_of("a,y\n1,3\n2,2.5\n", "y", "classes"));
  EXPECT_REFUSED(InvalidInput, "read as auto, classes or numbers", table_of("a,y\n1,3\n", "y", "labels"));
}

TEST(Table, RefusesNamingColumnAndLine) {
  EXPECT_REFUSED(InvalidInput, "line 3, column 'b': 'red' is not a number", table_of("a,b,y\n1,2,3\n1,red,3\n"));
  EXPECT_REFUSED(InvalidInput, "line 2, column 'a': '' is a missing value", table_of("a,b,y\n,2,3\n"));
  EXPECT_REFUSED(InvalidInput, "column 'a': 'nan' is not finite", table_of("a,b,y\nnan,2,3\n"));
  EXPECT_REFUSED(InvalidInput, "column 'a': '-inf' is not finite", table_of("a,b,y\n-inf,2,3\n"));
  EXPECT_REFUSED(InvalidInput, "column 'a': ' -1e999' is too large for a float64 (up to 1.8e308); every column but the label must hold numbers: "
                               "replace it, or leave the row out", table_of("a,b,y\n -1e999,2,3\n"));
  EXPECT_REFUSED(InvalidInput, "column 'a': '1E-400' is too small for a float64", table_of("a,b,y\n1E-400,2,3\n"));
  EXPECT_REFUSED(InvalidInput, "column 'a': '1e400x' is not a number", table_of("a,b,y\n1e400x,2,3\n"));
  EXPECT_REFUSED(InvalidInput, "line 2: '+1e400' in the label column 'y' is too large for a float64", table_of("a,y\n1,+1e400\n", "y", "numbers"));
  EXPECT_REFUSED(InvalidInput, "line 3: 2 fields, but the header names 3", table_of("a,b,y\n1,2,3\n1,2\n"));
  EXPECT_REFUSED(InvalidInput, "no column 'z' to predict; choose one with --label. Its columns are: a, y", table_of("a,y\n1,2\n", "z"));
  EXPECT_REFUSED(InvalidInput, "which column is to be predicted? Name it with --label. The columns are: a, b, y", table_of("a,b,y\n1,2,3\n", ""));
  EXPECT_REFUSED(InvalidInput, "two columns named 'a'", table_of("a,a,y\n1,2,3\n"));
  EXPECT_REFUSED(InvalidInput, "no column besides 'y'", table_of("y\n1\n"));
  EXPECT_REFUSED(InvalidInput, "has no rows", table_of("a,y\n"));
  EXPECT_REFUSED(InvalidInput, "has no rows", table_of(""));
  EXPECT_REFUSED(InvalidInput, "label column 'y' is empty", table_of("a,y\n1,\n"));
  EXPECT_REFUSED(InvalidInput, "line 3: the label column 'y' holds numbers, but here 'NA'", table_of("a,y\n1,0.5\n2,NA\n"));
  EXPECT_REFUSED(InvalidInput, "line 3: 'nan' in the label column", table_of("a,y\n1,0.5\n2,nan\n"));
}

TEST(Table, ColumnOfWordsIsNoRegression) {
  EXPECT_REFUSED(InvalidInput, "the label column 'y' holds words (line 2: 'cat'), but regression wants numbers; for classes use cross-entropy",
                 table_of("a,y\n1,cat\n2,dog\n3,4\n", "y", "numbers"));
  EXPECT_REFUSED(InvalidInput, "line 4: 'dog' in the label column 'y' is not a number; leave the row out", table_of("a,y\n1,2\n3,4\n5,dog\n", "y", "numbers"));
}

TEST(Table, OtherSeparatorsAreNamed) {
  EXPECT_REFUSED(InvalidInput, "separated by semicolons, but are read with commas", table_of("a;b;y\n1,5;2;3\n"));
  EXPECT_REFUSED(InvalidInput, "separated by semicolons", table_of("a;b;y\n1;2;3\n", ""));
  EXPECT_REFUSED(InvalidInput, "separated by tabs", table_of("a\tb\ty\n1\t2\t3\n"));
  EXPECT_EQ(table_of("a;b,y\n1,cat\n2,dog\n").input_names, (Names{"a;b"})) << "a name may hold one";
}

TEST(Table, TestPartHasTheClassesOfTheTrainingPart) {
  const Scratch scratch;
  const Dataset train = table_of("a,y\n1,x\n2,z\n");
  write_file(scratch.path("t.csv"), "a,y\n5,z\n");
  EXPECT_TRUE(read_table_like(scratch.path("t.csv"), "y", train).targets.equal(at::tensor({1}, at::kLong)));
  write_file(scratch.path("t.csv"), "a,y\n5,w\n");
  EXPECT_REFUSED(InvalidInput, "line 2: 'w' in the label column 'y' is not among", read_table_like(scratch.path("t.csv"), "y", train));
  write_file(scratch.path("t.csv"), "b,y\n5,x\n");
  EXPECT_REFUSED(InvalidInput, "has the columns b, but the training part has a", read_table_like(scratch.path("t.csv"), "y", train));
}

}  // namespace
}  // namespace pathkernel
