#pragma once

#include <gtest/gtest.h>

#include <unistd.h>

#include <filesystem>
#include <string>

namespace pathkernel::testing {

/// An empty folder of the running test's own, removed with everything in it at the end.
class Scratch {
 public:
  Scratch() {
    const auto* test = ::testing::UnitTest::GetInstance()->current_test_info();
    std::string name = std::string("pathkernel-") + test->test_suite_name() + "-" + test->name() + "-" + std::to_string(::getpid());
    static int number = 0;  // a test may have several
    name += "-" + std::to_string(number++);
    for (char& c : name)
      if (c == '/') c = '_';
    folder_ = std::filesystem::temp_directory_path() / name;
    std::filesystem::remove_all(folder_);
    std::filesystem::create_directories(folder_);
  }
  ~Scratch() { std::filesystem::remove_all(folder_); }
  Scratch(const Scratch&) = delete;
  Scratch& operator=(const Scratch&) = delete;

  std::string path(const std::string& name = {}) const { return name.empty() ? folder_.string() : (folder_ / name).string(); }

 private:
  std::filesystem::path folder_;
};

/// What `action` throws as `Error`, or "" with a test failure when it does not. For looking at messages.
template <typename Error, typename Action>
std::string message_of(Action&& action) {
  try {
    action();
  } catch (const Error& error) {
    return error.what();
  } catch (const std::exception& error) {
    ADD_FAILURE() << "threw something else: " << error.what();
    return {};
  }
  ADD_FAILURE() << "threw nothing";
  return {};
}

}  // namespace pathkernel::testing

/// Succeeds when `action` throws `Error` with `part` somewhere in its message.
#define EXPECT_REFUSED(Error, part, action)                                                            \
  do {                                                                                                 \
    const std::string message = ::pathkernel::testing::message_of<Error>([&] { (void)(action); });     \
    EXPECT_TRUE(message.find(part) != std::string::npos) << "expected: " << (part) << "\n found: " << message; \
  } while (false)
