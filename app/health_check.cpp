#include "app/health_check.hpp"

#include "app/local_request.hpp"

#include <nlohmann/json.hpp>

namespace busbar::app {

result<health_report> ask_health(const settings& config) {
  const auto answer = ask_here(config, "/v1/health");
  if (!answer)
    return fail(answer.error());
  health_report out{.http_status = answer->http_status, .word = {}};
  const auto json = nlohmann::json::parse(answer->body, nullptr, false);
  if (json.is_object() && json.contains("status") && json["status"].is_string())
    out.word = json["status"].get<std::string>();
  if (out.http_status / 100 != 2 || out.word.empty())
    return fail(errc::unavailable, "who answers is not Busbar, or not well");
  return out;
}

} // namespace busbar::app
