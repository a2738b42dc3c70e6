#pragma once

#include <algorithm>
#include <chrono>
#include <functional>

/// Of some work, by the clock.
inline double seconds(const std::function<void()>& work) {
  const auto begin = std::chrono::steady_clock::now();
  work();
  return std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
}

/// The best of three: the machine's noise only adds.
inline double best(const std::function<void()>& work) { return std::min({seconds(work), seconds(work), seconds(work)}); }
