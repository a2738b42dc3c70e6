#pragma once

#include <string>
#include <vector>

namespace pathkernel::cli {

/// Makes sure, before the work and not after it, that the folder --out holds nothing yet, and that files can be written into it; it need not
/// be there. Leaves nothing behind. @param command  for the message   @throws InvalidInput, with the system's reason where it has one
void check_vacant(const std::string& command, const std::string& out);

/// Makes sure, before the work and not after it, that the folder of the file --output is there. @throws InvalidInput
void check_file(const std::string& command, const std::string& output);

/// Makes sure, before anything is written, that no file to be written is one that is read, by whatever path, or is written twice. Empty names, and inputs that
/// are no files, are passed over. @throws InvalidInput
void check_apart(const std::string& command, const std::vector<std::string>& outputs, const std::vector<std::string>& inputs);

}  // namespace pathkernel::cli
