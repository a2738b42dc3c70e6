#include <pathkernel/core/error.h>
#include <pathkernel/core/files.h>
#include <pathkernel/data/safetensors.h>

#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>
#include <gtest/gtest.h>
#include <memory_limit.h>
#include <scratch.h>

namespace pathkernel {
namespace {

using testing::Scratch;

const std::vector<at::ScalarType> all_dtypes = {at::kDouble, at::kFloat, at::kHalf, at::kBFloat16, at::kLong,
                                                at::kInt,    at::kShort, at::kChar, at::kByte,     at::kBool};

NamedTensors one_of_each() {
  NamedTensors tensors;
  for (const at::ScalarType dtype : all_dtypes)
    tensors.push_back({std::string("a ") + c10::toString(dtype), at::arange(6).remainder(5).to(dtype).reshape({2, 3})});
  tensors.push_back({"scalar", at::ones({}, at::kFloat)});
  tensors.push_back({"empty", at::empty({0, 3}, at::kFloat)});
  tensors.push_back({"transposed", at::arange(6, at::kFloat).reshape({2, 3}).t()});
  return tensors;
}

/// A file with this header (as long as it is) and `data_bytes` zeros.
std::string crafted(const std::string& header, size_t data_bytes) {
  const uint64_t length = header.size();
  return std::string(reinterpret_cast<const char*>(&length), 8) + header + std::string(data_bytes, '\0');
}

void expect_corrupt(const std::string& contents, const std::string& part) {
  const Scratch scratch;
  write_file(scratch.path("x.safetensors"), contents);
  EXPECT_REFUSED(CorruptData, part, read_safetensors(scratch.path("x.safetensors")));
}

TEST(Safetensors, RoundTripKeepsBitsOrderAndMetadata) {
  const Scratch scratch;
  const NamedTensors tensors = one_of_each();
  write_safetensors(scratch.path("all.safetensors"), tensors, {{"format", "pt"}, {"näme", "quote \" and \n"}});
  const SafetensorsFile file = read_safetensors(scratch.path("all.safetensors"));
  ASSERT_EQ(file.tensors.size(), tensors.size());
  for (size_t i = 0; i < tensors.size(); ++i) {
    EXPECT_EQ(file.tensors[i].name, tensors[i].name);
    EXPECT_EQ(file.tensors[i].tensor.scalar_type(), tensors[i].tensor.scalar_type());
    EXPECT_TRUE(file.tensors[i].tensor.equal(tensors[i].tensor)) << tensors[i].name;
  }
  EXPECT_EQ(file.metadata.at("näme"), "quote \" and \n");
  EXPECT_TRUE(file.has("scalar"));
  EXPECT_REFUSED(InvalidInput, "it has: a Double", file.at("nothing"));
}

TEST(Safetensors, LeavesAFileForThePythonTests) {
  std::filesystem::create_directories(PATHKERNEL_TEST_FILES);
  write_safetensors(PATHKERNEL_TEST_FILES "/from_cpp.safetensors", one_of_each(), {{"made by", "pathkernel"}});
}

TEST(Safetensors, ReadsWhatThePythonPackageWrites) {
  const std::string path = PATHKERNEL_TEST_FILES "/from_python.safetensors";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is missing: `make test` writes it";
  const SafetensorsFile file = read_safetensors(path);
  EXPECT_EQ(file.metadata.at("format"), "pt");
  EXPECT_EQ(file.tensors.size(), all_dtypes.size() + 2);
  const std::vector<std::string> names = {"float64", "float32", "float16", "bfloat16", "int64",
                                          "int32",   "int16",   "int8",    "uint8",    "bool"};
  for (size_t i = 0; i < names.size(); ++i) {
    EXPECT_EQ(file.at(names[i]).scalar_type(), all_dtypes[i]);
    EXPECT_TRUE(file.at(names[i]).equal(at::arange(6).remainder(5).to(all_dtypes[i]).reshape({2, 3}))) << names[i];
  }
  EXPECT_EQ(file.at("scalar").dim(), 0);
  EXPECT_EQ(file.at("empty").sizes(), (at::IntArrayRef{0, 3}));
}

TEST(Safetensors, WriterRefuses) {
  const Scratch scratch;
  const Tensor a = at::ones({2});
  const std::string path = scratch.path("x.safetensors");
  EXPECT_REFUSED(InvalidInput, "'a' stands twice", write_safetensors(path, {{"a", a}, {"a", a}}));
  EXPECT_REFUSED(InvalidInput, "reserved", write_safetensors(path, {{"__metadata__", a}}));
  EXPECT_REFUSED(InvalidInput, "'a' is undefined", write_safetensors(path, {{"a", Tensor()}}));
  EXPECT_REFUSED(InvalidInput, "convert it", write_safetensors(path, {{"a", a.to(at::kComplexFloat)}}));
  EXPECT_FALSE(std::filesystem::exists(path));
}

TEST(Safetensors, ReaderRefusesWhatIsNotSound) {
  const std::string f32_2 = R"("dtype":"F32","shape":[2],"data_offsets":[0,8])";
  expect_corrupt("", "only 0 bytes");
  expect_corrupt(std::string(8, '\xff'), "cut off");
  expect_corrupt(crafted("{\"a\"", 0), "not JSON");
  expect_corrupt(crafted("[]", 0), "not a JSON object");
  expect_corrupt(crafted("{\"a\":{" + f32_2 + "},\"a\":{" + f32_2 + "}}", 8), "'a' stands twice");
  expect_corrupt(crafted(R"({"a":{"dtype":"F32","shape":[2]}})", 8), "exactly dtype, shape and data_offsets");
  expect_corrupt(crafted(R"({"a":{"dtype":"F31","shape":[2],"data_offsets":[0,8]}})", 8), "unknown dtype 'F31'");
  expect_corrupt(crafted(R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})", 8), "impossible shape");
  expect_corrupt(crafted(R"({"a":{"dtype":"F32","shape":[4611686018427387904,4],"data_offsets":[0,0]}})", 0), "impossible shape");
  expect_corrupt(crafted(R"({"a":{"dtype":"F32","shape":[0,4611686018427387904,4],"data_offsets":[0,0]}})", 0),
                 "impossible shape");
  expect_corrupt(crafted(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8]}})", 8), "two data_offsets");
  expect_corrupt(crafted(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[8,0]}})", 8), "outside");
  expect_corrupt(crafted("{\"a\":{" + f32_2 + "}}", 7), "outside the 7 bytes");
  expect_corrupt(crafted(R"({"a":{"dtype":"F32","shape":[3],"data_offsets":[0,8]}})", 8), "dtype and shape need 12");
  expect_corrupt(crafted("{\"a\":{" + f32_2 + R"(},"b":{"dtype":"F32","shape":[2],"data_offsets":[4,12]}})", 12), "overlaps");
  expect_corrupt(crafted("{\"a\":{" + f32_2 + R"(},"b":{"dtype":"F32","shape":[1],"data_offsets":[12,16]}})", 16), "unused bytes");
  expect_corrupt(crafted("{\"a\":{" + f32_2 + "}}", 9), "1 bytes after the last");
  expect_corrupt(crafted(R"({"__metadata__":{"a":1}})", 0), "'a' is not a text");
  expect_corrupt(crafted(R"({"a":{"dtype":"BOOL","shape":[1],"data_offsets":[0,1]}})", 0) + "\x02", "other than 0 and 1");
  const Scratch scratch;
  EXPECT_REFUSED(InvalidInput, "No such file", read_safetensors(scratch.path("missing")));
}

TEST(Safetensors, HeaderIsRefusedBeforeItBecomesALargeTree) {
  // 16 MiB of header that the JSON library would turn into a gigabyte and more before the reader could look at it
  const auto repeated = [](const char* piece) {
    std::string text;
    while (text.size() < (16u << 20)) text += piece;
    return text;
  };
  const testing::MemoryLimit limit(256u << 20);
  expect_corrupt(crafted(repeated("["), 0), "not a JSON object");
  expect_corrupt(crafted(R"({"a":)" + repeated(R"({"a":)"), 0), "nested otherwise");
  expect_corrupt(crafted(R"({"a":{"shape":)" + repeated("["), 0), "nested otherwise");
  expect_corrupt(crafted(R"({"a":[0)" + repeated(",0"), 0), "nested otherwise");
  expect_corrupt(crafted(R"({"a":{"shape":[0)" + repeated(",0"), 0), "more than 64 numbers");
  expect_corrupt(crafted(R"({"a":{})" + repeated(R"(,"a":{})"), 0), "'a' stands twice");
}

}  // namespace
}  // namespace pathkernel
