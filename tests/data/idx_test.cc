#include <pathkernel/core/error.h>
#include <pathkernel/core/files.h>
#include <pathkernel/data/idx.h>

#include <ATen/ops/tensor.h>
#include <gtest/gtest.h>
#include <scratch.h>

namespace pathkernel {
namespace {

using namespace std::string_literals;
using testing::Scratch;

Tensor read(const std::string& contents) {
  const Scratch scratch;
  write_file(scratch.path("x-idx"), contents);
  return read_idx(scratch.path("x-idx"));
}

TEST(Idx, ReadsEveryType) {
  EXPECT_TRUE(read("\0\0\x08\x02\0\0\0\x01\0\0\0\x03\x01\xff\x03"s).equal(at::tensor({1, 255, 3}).to(at::kByte).reshape({1, 3})));
  EXPECT_TRUE(read("\0\0\x09\x01\0\0\0\x02\x01\xff"s).equal(at::tensor({1, -1}).to(at::kChar)));
  EXPECT_TRUE(read("\0\0\x0b\x01\0\0\0\x02\x01\x02\xff\xfe"s).equal(at::tensor({258, -2}).to(at::kShort)));
  EXPECT_TRUE(read("\0\0\x0c\x01\0\0\0\x01\0\x01\0\x02"s).equal(at::tensor({65538}).to(at::kInt)));
  EXPECT_TRUE(read("\0\0\x0d\x01\0\0\0\x01\x3f\xc0\0\0"s).equal(at::tensor({1.5f})));
  EXPECT_TRUE(read("\0\0\x0e\x01\0\0\0\x01\xbf\xf8\0\0\0\0\0\0"s).equal(at::tensor({-1.5}, at::kDouble)));
  EXPECT_EQ(read("\0\0\x08\x02\0\0\0\0\0\0\0\x03"s).numel(), 0);
}

TEST(Idx, RefusesWithWhatItFound) {
  EXPECT_REFUSED(InvalidInput, "starts with the bytes 01 00 08 01", read("\x01\0\x08\x01\0\0\0\x01\x01"s));
  EXPECT_REFUSED(InvalidInput, "is no idx file", read("\0\0\x07\x01\0\0\0\x01\x01"s));
  EXPECT_REFUSED(InvalidInput, "is no idx file", read("\0\0"s));
  EXPECT_REFUSED(InvalidInput, "gunzip", read("\x1f\x8b\x08\0 and so on"s));
  EXPECT_REFUSED(InvalidInput, "says [2] of 1 bytes each, but 1 bytes of data follow", read("\0\0\x08\x01\0\0\0\x02\x01"s));
  EXPECT_REFUSED(InvalidInput, "says [1] of 1 bytes each, but 2 bytes", read("\0\0\x08\x01\0\0\0\x01\x01\x01"s));
  EXPECT_REFUSED(InvalidInput, "but 0 bytes of data follow", read("\0\0\x0e\x02\x80\0\0\0\x80\0\0\0"s));  // 2^65 bytes
  EXPECT_REFUSED(InvalidInput, "ends early", read("\0\0\x08\x02\0\0\0\x02"s));
  EXPECT_REFUSED(InvalidInput, "0 bytes of data follow", read("\0\0\x0e\x04"s + std::string(16, '\xff')));
}

}  // namespace
}  // namespace pathkernel
