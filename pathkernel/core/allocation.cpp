#include <pathkernel/core/allocation.h>

#if defined(__GLIBC__)
#include <malloc.h>

#include <limits>
#endif

namespace pathkernel {

void keep_freed_memory() {
#if defined(__GLIBC__)
  mallopt(M_MMAP_THRESHOLD, 32 << 20);  // the largest that glibc takes
  mallopt(M_TRIM_THRESHOLD, std::numeric_limits<int>::max());
  mallopt(M_TOP_PAD, 64 << 20);
#endif
}

}  // namespace pathkernel
