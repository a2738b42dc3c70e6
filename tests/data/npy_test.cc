#include <pathkernel/core/error.h>
#include <pathkernel/core/files.h>
#include <pathkernel/data/npy.h>

#include <ATen/ops/arange.h>
#include <ATen/ops/empty.h>
#include <ATen/ops/ones.h>
#include <gtest/gtest.h>
#include <scratch.h>

namespace pathkernel {
namespace {

using testing::Scratch;

struct Code {
  const char* name;
  at::ScalarType type;
};
const std::vector<Code> codes = {{"f2", at::kHalf}, {"f4", at::kFloat}, {"f8", at::kDouble}, {"i1", at::kChar}, {"i2", at::kShort},
                                 {"i4", at::kInt},  {"i8", at::kLong},  {"u1", at::kByte},   {"b1", at::kBool}};

/// A file that NumPy wrote (tests/python/write_test_files.py), or the end of the test when there is none.
#define FROM_PYTHON(path, name)                                                                    \
  const std::string path = std::string(PATHKERNEL_TEST_FILES "/") + (name);                        \
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is missing: `make test` writes it"

std::string with_header(const std::string& header, size_t data_bytes, char version = 1) {
  std::string text = "\x93NUMPY";
  text += {version, '\0', static_cast<char>(header.size() & 0xff), static_cast<char>(header.size() >> 8)};
  if (version > 1) text += {'\0', '\0'};
  return text + header + std::string(data_bytes, '\0');
}

void expect_refused(const std::string& contents, const std::string& part) {
  const Scratch scratch;
  write_file(scratch.path("x.npy"), contents);
  EXPECT_REFUSED(InvalidInput, part, read_npy(scratch.path("x.npy")));
}

TEST(Npy, RoundTrips) {
  const Scratch scratch;
  for (const Code& code : codes) {
    const Tensor array = at::arange(6).remainder(2).reshape({2, 3}).to(code.type);
    write_npy(scratch.path("x.npy"), array);
    const Tensor back = read_npy(scratch.path("x.npy"));
    EXPECT_EQ(back.scalar_type(), code.type);
    EXPECT_TRUE(back.equal(array)) << code.name;
  }
  for (const Tensor& array : {at::ones({}), at::arange(3), at::empty({0, 3}), at::arange(6).reshape({2, 3}).t()}) {
    write_npy(scratch.path("x.npy"), array);
    EXPECT_TRUE(read_npy(scratch.path("x.npy")).equal(array)) << describe(array);
  }
  EXPECT_REFUSED(InvalidInput, "no counterpart", write_npy(scratch.path("x.npy"), at::ones({2}).to(at::kBFloat16)));
}

TEST(Npy, ReadsWhatNumpyWrites) {
  for (const Code& code : codes)
    for (const std::string order : {"c_", "fortran_"}) {
      FROM_PYTHON(path, order + code.name + ".npy");
      const Tensor array = read_npy(path);
      Tensor expected = at::arange(24).reshape({2, 3, 4});
      if (code.type == at::kBool) expected = expected.remainder(2);
      EXPECT_EQ(array.scalar_type(), code.type);
      EXPECT_TRUE(array.is_contiguous());
      EXPECT_TRUE(array.equal(expected.to(code.type))) << path;
    }
  for (const char* version : {"1", "2", "3"}) {
    FROM_PYTHON(path, std::string("version_") + version + ".npy");
    EXPECT_TRUE(read_npy(path).equal(at::arange(24, at::kFloat).reshape({2, 3, 4})));
  }
}

TEST(Npy, ReadsNumpysScalarsAndEmptyArraysAndNamesOtherTypes) {
  FROM_PYTHON(scalar, "scalar.npy");
  EXPECT_EQ(read_npy(scalar).item<double>(), 2.5);
  FROM_PYTHON(empty, "empty.npy");
  EXPECT_EQ(read_npy(empty).sizes(), (at::IntArrayRef{0, 3}));
  FROM_PYTHON(big_endian, "big_endian.npy");
  EXPECT_REFUSED(InvalidInput, "its numbers are '>f4'; convert them", read_npy(big_endian));
  FROM_PYTHON(complex, "complex.npy");
  EXPECT_REFUSED(InvalidInput, "'<c8'", read_npy(complex));
  FROM_PYTHON(records, "records.npy");
  EXPECT_REFUSED(InvalidInput, "several fields", read_npy(records));
}

TEST(Npy, LeavesFilesForThePythonTests) {
  std::filesystem::create_directories(PATHKERNEL_TEST_FILES);
  const std::string start = PATHKERNEL_TEST_FILES "/from_cpp_";
  for (const Code& code : codes) write_npy(start + code.name + ".npy", at::arange(6).remainder(2).reshape({2, 3}).to(code.type));
  write_npy(start + "scalar.npy", at::ones({}));
  write_npy(start + "vector.npy", at::arange(3));
}

TEST(Npy, RefusesWithWhatItFound) {
  expect_refused("", "does not start with");
  expect_refused("PK\3\4 a zip archive", "does not start with");
  expect_refused(with_header("{}", 0, 4), "version is 4");
  expect_refused(with_header("{}", 0), "its header is not");
  expect_refused(std::string("\x93NUMPY\x01\0\xff\xff", 10), "would have 65535 bytes");
  expect_refused(with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", 7), "7 bytes of data follow");
  expect_refused(with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)}", 9), "9 bytes of data follow");
  expect_refused(with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (-2,)}", 8), "its header is not");
  expect_refused(with_header("{'descr': '<f4', 'fortran_order': Maybe, 'shape': (2,)}", 8), "its header is not");
  expect_refused(with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)", 8), "its header is not");
  expect_refused(with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (2,)} x", 8), "its header is not");
  expect_refused(with_header("{'descr': '|b1', 'fortran_order': False, 'shape': (1,)}", 0) + "\2", "other than 0 and 1");
  expect_refused(with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (4611686018427387904, 8)}", 0), "0 bytes of data");
  expect_refused(with_header("{'descr': '<f4', 'fortran_order': False, 'shape': (0, 4611686018427387904, 8)}", 0), "0 bytes");
}

}  // namespace
}  // namespace pathkernel
