#pragma once

#include <string>

namespace pathkernel::cli {

/// Makes sure, before the work and not after it, that files can be written into the folder --out, which need not be there yet. Leaves nothing
/// behind. @param command  for the message   @throws InvalidInput with the system's reason
void check_writable(const std::string& command, const std::string& out);

}  // namespace pathkernel::cli
