#pragma once

namespace pathkernel {

/// Tells the C library to keep freed memory instead of giving it back and asking for it again: stretches of the path are held and
/// freed by the hundred megabytes, and every page that comes back is a fault. For programs, at their start; peak memory is the same.
void keep_freed_memory();

}  // namespace pathkernel
