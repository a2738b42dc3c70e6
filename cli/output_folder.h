#pragma once

#include <string>

namespace pathkernel::cli {

/// Makes sure, before the work and not after it, that the folder --out holds nothing yet, and that files can be written into it; it need not
/// be there. Leaves nothing behind. @param command  for the message   @throws InvalidInput, with the system's reason where it has one
void check_vacant(const std::string& command, const std::string& out);

/// Makes sure, before the work and not after it, that the folder of the file --output is there. @throws InvalidInput
void check_file(const std::string& command, const std::string& output);

}  // namespace pathkernel::cli
