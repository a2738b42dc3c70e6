#include "terminal.h"

#include <fmt/format.h>
#include <unistd.h>

#include <chrono>
#include <cmath>
#include <cstdio>
#include <memory>

namespace pathkernel::cli {
namespace {

class ProgressBar {
 public:
  ~ProgressBar() { wipe(); }

  void show(const std::string& what, int64_t done, int64_t total) {
    if (what != what_) begin(what);
    if (done >= total) return wipe();
    const auto now = Clock::now();
    if (now - shown_ < std::chrono::milliseconds(100)) return;
    shown_ = now;

    constexpr int64_t width = 30;
    const auto filled = static_cast<size_t>(width * done / total);
    const double passed = std::chrono::duration<double>(now - begun_).count();
    const std::string left = done > 0 && passed > 0.5
                                 ? fmt::format(", {} left", print_duration(passed * static_cast<double>(total - done) / static_cast<double>(done)))
                                 : "";
    fmt::print(stderr, "\r\033[K{} [{}{}] {}/{}{}", what, std::string(filled, '#'), std::string(width - filled, '.'), done, total, left);
    std::fflush(stderr);
    visible_ = true;
  }

 private:
  using Clock = std::chrono::steady_clock;

  void begin(const std::string& what) {
    wipe();
    what_ = what;
    begun_ = Clock::now();
  }

  void wipe() {
    if (visible_) fmt::print(stderr, "\r\033[K");
    std::fflush(stderr);
    visible_ = false;
  }

  std::string what_;
  Clock::time_point begun_ = Clock::now(), shown_{};
  bool visible_ = false;
};

}  // namespace

std::string print_duration(double seconds) {
  if (seconds < 10) return fmt::format("{:.1f} s", seconds);
  const auto whole = static_cast<int64_t>(std::llround(seconds));
  if (whole < 60) return fmt::format("{} s", whole);
  if (whole < 3600) return fmt::format("{} min {:02d} s", whole / 60, whole % 60);
  return fmt::format("{} h {:02d} min", whole / 3600, whole % 3600 / 60);
}

Progress progress_bar() {
  if (isatty(STDERR_FILENO) == 0) return {};
  return [bar = std::make_shared<ProgressBar>()](const std::string& what, int64_t done, int64_t total) { bar->show(what, done, total); };
}

}  // namespace pathkernel::cli
