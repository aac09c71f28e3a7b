#include "monitoring/logging.hpp"

#include "base/json_text.hpp"
#include "monitoring/storm_limiter.hpp"

#include <spdlog/sinks/base_sink.h>
#include <spdlog/spdlog.h>

#include <algorithm>
#include <array>
#include <cctype>
#include <cstdio>
#include <ctime>
#include <mutex>
#include <utility>

namespace busbar::monitoring {

namespace {

/// A shorter secret is found in half of all words.
constexpr std::size_t secret_bytes_min = 4;
constexpr std::string_view mask = "********";

thread_local log_fields current_fields;

std::string percent_encoded(std::string_view text) {
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    std::array<char, 4> code{c, '\0'};
    if (std::isalnum(byte) == 0 && std::string_view{"-._~"}.find(c) == std::string_view::npos)
      std::snprintf(code.data(), code.size(), "%%%02X", byte);
    out += code.data();
  }
  return out;
}

std::vector<std::string> forms_of(const std::vector<std::string>& secrets) {
  std::vector<std::string> forms;
  for (const auto& secret : secrets)
    if (secret.size() >= secret_bytes_min) {
      forms.push_back(secret);
      forms.push_back(percent_encoded(secret));
    }
  // A secret that is part of another must not break the longer one apart.
  std::ranges::sort(forms, [](const auto& a, const auto& b) { return a.size() > b.size(); });
  forms.erase(std::ranges::unique(forms).begin(), forms.end());
  return forms;
}

void hide(std::string& text, const std::vector<std::string>& secrets) {
  for (const auto& secret : secrets) {
    auto at = text.find(secret);
    while (at != std::string::npos) {
      text.replace(at, secret.size(), mask);
      at = text.find(secret, at + mask.size()); // behind it: a secret may be made of stars
    }
  }
}

std::string time_of(std::chrono::system_clock::time_point when, log_format format) {
  const auto seconds = std::chrono::floor<std::chrono::seconds>(when);
  const auto milliseconds =
      std::chrono::duration_cast<std::chrono::milliseconds>(when - seconds).count();
  const std::time_t time = std::chrono::system_clock::to_time_t(seconds);
  std::tm parts{};
  std::array<char, 40> text{};
  if (format == log_format::json)
    ::gmtime_r(&time, &parts);
  else
    ::localtime_r(&time, &parts);
  const auto length = std::strftime(text.data(), text.size(),
                                    format == log_format::json ? "%FT%T" : "%F %T", &parts);
  std::snprintf(text.data() + length, text.size() - length,
                format == log_format::json ? ".%03dZ" : ".%03d", static_cast<int>(milliseconds));
  return text.data();
}

using named_field = std::pair<std::string_view, std::string_view>;

std::array<named_field, 4> fields_of(const log_fields& fields) {
  return {named_field{"request_id", fields.request_id}, named_field{"trace_id", fields.trace_id},
          named_field{"handle", fields.handle}, named_field{"tenant", fields.tenant}};
}

/// A value as it stands in a line of text: quoted if it could be taken for something else.
void append_text_value(std::string& line, std::string_view value) {
  const bool plain = std::ranges::all_of(value, [](char c) {
    return std::isgraph(static_cast<unsigned char>(c)) != 0 && c != '"' && c != '=' && c != '\\';
  });
  if (plain)
    line += value;
  else
    append_json_string(line, value);
}

std::string line_of(log_format format, std::chrono::system_clock::time_point when,
                    std::string_view level, std::string_view message, const log_fields& fields) {
  std::string line;
  if (format == log_format::text) {
    line = "[" + time_of(when, format) + "] [";
    line += level;
    line += "] ";
    // A message may have several lines, but nothing that a terminal obeys.
    for (const char c : message)
      line += static_cast<unsigned char>(c) < ' ' && c != '\n' && c != '\t' ? '?' : c;
    for (const auto& [name, value] : fields_of(fields))
      if (!value.empty()) {
        line += ' ';
        line += name;
        line += '=';
        append_text_value(line, value);
      }
    return line;
  }
  line = R"({"time":")" + time_of(when, format) + R"(","level":")";
  line += level;
  line += R"(","message":)";
  append_json_string(line, message);
  for (const auto& [name, value] : fields_of(fields))
    if (!value.empty()) {
      line += ",\"";
      line += name;
      line += "\":";
      append_json_string(line, value);
    }
  return line + '}';
}

class line_sink final : public spdlog::sinks::base_sink<std::mutex> {
public:
  line_sink(const log_settings& settings, void (*write)(std::string_view))
      : format_{settings.format}, secrets_{forms_of(settings.secrets)},
        storms_{settings.alike_max, settings.period}, write_{write} {}

protected:
  void sink_it_(const spdlog::details::log_msg& message) override {
    summarise();
    std::string text{message.payload.data(), message.payload.size()};
    hide(text, secrets_);
    if (message.level >= spdlog::level::info &&
        !storms_.admits(text, std::chrono::steady_clock::now()))
      return;
    const auto level = spdlog::level::to_string_view(message.level);
    say(message.time, {level.data(), level.size()}, text, current_fields);
  }
  void flush_() override { summarise(); }

private:
  void summarise() {
    for (const auto& [line, count] : storms_.ended(std::chrono::steady_clock::now()))
      say(std::chrono::system_clock::now(), "warning",
          std::to_string(count) + " more lines like this one were left out: " + line, {});
  }
  void say(std::chrono::system_clock::time_point when, std::string_view level,
           std::string_view text, const log_fields& fields) {
    auto line = line_of(format_, when, level, text, fields);
    if (!fields.request_id.empty()) // a client may have sent anything
      hide(line, secrets_);
    write_(line);
  }

  const log_format format_;
  const std::vector<std::string> secrets_;
  storm_limiter storms_;
  void (*const write_)(std::string_view);
};

void write_line(std::string_view line) {
  std::fwrite(line.data(), 1, line.size(), stdout);
  std::fputc('\n', stdout);
  std::fflush(stdout);
}

} // namespace

std::shared_ptr<spdlog::logger> make_logger(const log_settings& settings,
                                            void (*write)(std::string_view line)) {
  auto logger = std::make_shared<spdlog::logger>("", std::make_shared<line_sink>(settings, write));
  logger->set_level(spdlog::level::from_str(settings.level));
  return logger;
}

void set_up_logging(const log_settings& settings) {
  spdlog::set_default_logger(make_logger(settings, write_line));
  spdlog::flush_every(std::chrono::seconds{1}); // of what waits, there are only summaries
}

log_scope::log_scope(const log_fields& fields) noexcept
    : outer_{std::exchange(current_fields, fields)} {}

log_scope::~log_scope() {
  current_fields = outer_;
}

} // namespace busbar::monitoring
