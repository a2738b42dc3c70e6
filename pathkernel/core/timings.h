#pragma once

#include <chrono>
#include <map>
#include <string>

namespace pathkernel {

/// Seconds by kind of work, for benchmarks and for saying where the time goes.
using Timings = std::map<std::string, double>;

/// Adds the time until its end to one kind of work; nothing where no timings are kept.
class Timed {
 public:
  Timed(Timings* timings, const char* what) : timings_(timings), what_(what), begin_(std::chrono::steady_clock::now()) {}
  ~Timed() {
    if (timings_ != nullptr) (*timings_)[what_] += std::chrono::duration<double>(std::chrono::steady_clock::now() - begin_).count();
  }
  Timed(const Timed&) = delete;
  Timed& operator=(const Timed&) = delete;

 private:
  Timings* timings_;
  const char* what_;
  std::chrono::steady_clock::time_point begin_;
};

}  // namespace pathkernel
