// monitoring/logging.hpp: how lines are logged: as text or JSON, without secrets, and without end
// only in moderation. Who logs calls spdlog as ever.
#pragma once

#include <chrono>
#include <cstddef>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

namespace spdlog {
class logger;
} // namespace spdlog

namespace busbar::monitoring {

enum class log_format : unsigned char { text, json };

struct log_settings {
  log_format format = log_format::text;
  std::string level = "info";
  /// Never written, not even percent-encoded. Those that are too short to tell anything by are left
  /// out, or they would take common words with them.
  std::vector<std::string> secrets = {};
  /// Of lines that differ in their numbers only, so many are written in a period; then one that
  /// says how many more there were. Debug and trace lines are not counted.
  std::size_t alike_max = 20;
  std::chrono::milliseconds period{10'000};
};

/// Makes all of the process log so, to standard output.
void set_up_logging(const log_settings& settings);

/// The same as a logger of its own, which hands finished lines, without their end, to `write`.
/// flush() writes the summaries that are due.
std::shared_ptr<spdlog::logger> make_logger(const log_settings& settings,
                                            void (*write)(std::string_view line));

/// What the lines that a thread logs are about; empty parts are left out.
struct log_fields {
  std::string_view request_id = {};
  std::string_view trace_id = {};
  std::string_view handle = {};
  std::string_view tenant = {};
};

/// Adds fields to all that this thread logs while it lives. What they view must live as long.
class log_scope {
public:
  explicit log_scope(const log_fields& fields) noexcept;
  ~log_scope();
  log_scope(const log_scope&) = delete;
  log_scope& operator=(const log_scope&) = delete;

private:
  log_fields outer_;
};

} // namespace busbar::monitoring
