#include "stop_signals.h"

#include "commands.h"
#include "terminal.h"

#include <csignal>

namespace pathkernel::cli {
namespace {

volatile std::sig_atomic_t asked = 0;

void ask(int) { asked = 1; }

}  // namespace

StopSignals::StopSignals() {
  asked = 0;
  struct sigaction action {};
  action.sa_handler = ask;
  action.sa_flags = SA_RESTART | SA_RESETHAND;
  for (const int signal : {SIGINT, SIGTERM}) ::sigaction(signal, &action, nullptr);
}

StopSignals::~StopSignals() {
  for (const int signal : {SIGINT, SIGTERM}) std::signal(signal, SIG_DFL);
}

std::function<bool()> StopSignals::request() const {
  return [] { return asked != 0; };
}

Progress stoppable_bar(const StopSignals& signals, const std::string& command) {
  return [bar = progress_bar(), stop = signals.request(), command](const std::string& what, int64_t done, int64_t total) {
    if (stop()) throw Interrupted(command + ": interrupted, before anything was written");
    if (bar) bar(what, done, total);
  };
}

}  // namespace pathkernel::cli
