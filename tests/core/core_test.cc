#include <pathkernel/core/bytes.h>
#include <pathkernel/core/error.h>
#include <pathkernel/core/files.h>
#include <pathkernel/core/hash.h>
#include <pathkernel/core/random.h>
#include <pathkernel/core/tensors.h>

#include <ATen/ops/arange.h>
#include <gtest/gtest.h>
#include <scratch.h>

#include <set>

namespace pathkernel {
namespace {

using testing::Scratch;

TEST(Tensors, CountsCopiesAndDescribes) {
  const Tensor a = at::arange(6, at::kFloat).reshape({2, 3});
  const Tensors list = {a, at::arange(4, at::kLong)};
  EXPECT_EQ(count_numbers(list), 10);
  EXPECT_EQ(count_numbers(NamedTensors{{"a", a}}), 6);
  EXPECT_EQ(values(NamedTensors{{"a", a}})[0].const_data_ptr(), a.const_data_ptr());
  const Tensors deep = copies(list);
  EXPECT_NE(deep[0].const_data_ptr(), a.const_data_ptr());
  EXPECT_TRUE(deep[0].equal(a));
  EXPECT_EQ(copies(list, at::kDouble)[1].scalar_type(), at::kDouble);
  EXPECT_EQ(describe(a), "float32 [2, 3]");
  EXPECT_EQ(describe(Tensor()), "undefined");
}

TEST(Hash, SeesValuesShapesAndDtypes) {
  const Tensor a = at::arange(6, at::kFloat).reshape({2, 3});
  const uint64_t hash = hash_of({a});
  EXPECT_EQ(hash_of({a.clone()}), hash);
  EXPECT_EQ(hash_of({a.t().contiguous().t()}), hash) << "strides are not content";
  EXPECT_NE(hash_of({a.reshape({3, 2})}), hash);
  EXPECT_NE(hash_of({a.to(at::kDouble)}), hash);
  EXPECT_NE(hash_of({a.add(1e-7)}), hash);
  EXPECT_NE(hash_of({a, a}), hash);
}

TEST(Hash, IsXxh3) {
  EXPECT_EQ(hex(hash_of_bytes("")), "2d06800538d394c2");  // the reference implementation's value
  const Scratch scratch;
  const std::string text(3'000'000, 'x');
  write_file(scratch.path("long"), text);
  EXPECT_EQ(hash_of_file(scratch.path("long")), hash_of_bytes(text));
}

TEST(Random, SplitmixMatchesItsReference) {
  RandomStream stream(1234567);  // first values published with the algorithm
  EXPECT_EQ(stream.next(), 6457827717110365317u);
  EXPECT_EQ(stream.next(), 3203168211198807973u);
}

TEST(Random, StreamsDiffer) {
  std::set<uint64_t> seeds;
  for (uint64_t seed = 0; seed < 4; ++seed)
    for (const Stream purpose : {Stream::initial_weights, Stream::batch_order, Stream::step, Stream::sampling})
      for (uint64_t index = 0; index < 100; ++index) seeds.insert(stream_seed(seed, purpose, index));
  EXPECT_EQ(seeds.size(), 4u * 4 * 100);
}

TEST(Random, BelowIsUniform) {
  RandomStream stream(0);
  std::vector<int> counts(7, 0);
  for (int i = 0; i < 70'000; ++i) ++counts[stream.below(7)];
  for (const int count : counts) EXPECT_NEAR(count, 10'000, 500);  // five standard deviations are 463
}

TEST(Bytes, ParsesAndPrints) {
  EXPECT_EQ(parse_bytes("4GiB"), int64_t{4} << 30);
  EXPECT_EQ(parse_bytes("512 mib"), int64_t{512} << 20);
  EXPECT_EQ(parse_bytes("1.5GB"), 1'500'000'000);
  EXPECT_EQ(parse_bytes("2K"), 2048);
  EXPECT_EQ(parse_bytes("1000"), 1000);
  EXPECT_EQ(print_bytes(812), "812 B");
  EXPECT_EQ(print_bytes(int64_t{12} << 30), "12.0 GiB");
  for (const char* bad : {"", "GiB", "-1GiB", "0", "4XiB", "4 GiBs", "nan", "inf", "1e999", "9999999TiB", "4Gi B2"})
    EXPECT_REFUSED(InvalidInput, "is no size in bytes", parse_bytes(bad));
}

TEST(Files, WritesWholeOrNotAtAll) {
  const Scratch scratch;
  const std::string path = scratch.path("file");
  write_file(path, "old");
  {
    AtomicFile abandoned(path);
    abandoned.write("half");
  }
  EXPECT_EQ(read_file(path), "old");
  write_file(path, "new");
  EXPECT_EQ(read_file(path), "new");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(scratch.path()), {}), 1) << "no temporary file is left";
}

TEST(Files, RefusesWithTheReason) {
  const Scratch scratch;
  EXPECT_REFUSED(InvalidInput, "No such file", read_file(scratch.path("missing")));
  EXPECT_REFUSED(InvalidInput, "Is a directory", read_file(scratch.path()));
  EXPECT_REFUSED(InvalidInput, "cannot write", write_file(scratch.path("no/such/folder"), ""));
  write_file(scratch.path("short"), "abc");
  char buffer[8];
  EXPECT_REFUSED(CorruptData, "ends early", InputFile(scratch.path("short")).read(1, buffer, 3));
  EXPECT_REFUSED(InvalidInput, "make room", check_free_disk(scratch.path("not/yet/there"), int64_t{1} << 60, "the recording"));
  EXPECT_NO_THROW(check_free_disk(scratch.path(), 1000, "a small thing"));
}

}  // namespace
}  // namespace pathkernel
