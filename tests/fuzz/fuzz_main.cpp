// libFuzzer's entry, for the reader that the environment variable FUZZ_READER names.
#include "readers.h"

#include <sanitizer/allocator_interface.h>

#include <atomic>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <cstring>

namespace {

/// Bytes that are allocated while a file is read. A tree of JSON or a table of text takes some dozens of times the bytes it is read
/// from; a size that the file merely claims takes more than any such factor.
std::atomic<int64_t> allocated{0};
std::atomic<int64_t> allowed{INT64_MAX};
constexpr int64_t factor = 200, constant = 1 << 20;

void on_malloc(const volatile void*, size_t bytes) {
  if ((allocated += int64_t(bytes)) <= allowed) return;
  allowed = INT64_MAX;
  std::fprintf(stderr, "==fuzz== more memory than the file can back\n");
  std::abort();
}

void on_free(const volatile void* pointer) {
  if (pointer != nullptr) allocated -= int64_t(__sanitizer_get_allocated_size(const_cast<const void*>(pointer)));
}

bool (*find(const char* name))(std::string_view) {
  for (const auto& reader : pathkernel::fuzz::readers())
    if (name != nullptr && std::strcmp(reader.name, name) == 0) return reader.read;
  std::fprintf(stderr, "FUZZ_READER must name a reader: idx, npy, csv, safetensors, ledger or manifest\n");
  std::exit(2);
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  static const auto read = [] {
    __sanitizer_install_malloc_and_free_hooks(on_malloc, on_free);
    return find(std::getenv("FUZZ_READER"));
  }();
  allowed = allocated + constant + factor * int64_t(size);
  read({reinterpret_cast<const char*>(data), size});
  allowed = INT64_MAX;
  return 0;
}
