// http/response_head.hpp: the text of response heads and of the short bodies (spec shape-protocol
// 4, 13, 14, 17). Pure formatting.
#pragma once

#include "actors/client_session.hpp"
#include "actors/reader.hpp"
#include "http/request_head.hpp"
#include "http/shape_params.hpp"

#include <chrono>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>

namespace busbar::http {

inline constexpr std::string_view json_type = "application/json; charset=utf-8";
inline constexpr std::string_view default_cache_control = "max-age=0, private, must-revalidate";
inline constexpr std::string_view must_refetch_body = R"([{"headers":{"control":"must-refetch"}}])";

/// What every response says, whatever the request was.
struct response_context {
  bool http_1_1 = true;
  bool keep_alive = true;
  std::string_view date;       ///< As in RFC 9110, "Sun, 22 Nov 2026 09:53:49 GMT".
  std::string_view server;     ///< Of electric-server.
  std::string_view origin;     ///< The request's, may be empty.
  std::string_view request_id; ///< Echoed or made up, never empty.
  bool personal = false;       ///< It depends on who asks.
};

enum class cors : std::uint8_t { shape, elsewhere };

/// Writes one head to the end of `out`. Exactly one of the end_… calls finishes it.
class head_writer {
public:
  head_writer(std::string& out, int status, const response_context& context, cors methods);

  head_writer& add(std::string_view name, std::string_view value);
  head_writer& add(std::string_view name, std::uint64_t value);

  void end_with_length(std::size_t body_bytes);
  /// The body's end is marked by the last chunk or, in HTTP/1.0, by the end of the connection.
  void end_streamed();
  void end_without_body(); ///< 204, 304: there is none by definition.

private:
  std::string& out_;
  bool http_1_1_;
};

/// How the answer to a shape read may be cached, and by whom.
struct cache_policy {
  std::chrono::seconds max_age{60};
  std::chrono::seconds stale_age{300};
  std::chrono::seconds sse_lifetime{60};
};

struct read_mode {
  bool live = false;
  bool sse = false;
  bool posted = false; ///< By POST: not to be cached.
  coding in = coding::identity;
  std::optional<std::chrono::sys_seconds> stale_since = {}; ///< PostgreSQL is away since then.
  bool personal = false; ///< For the client alone: never for a cache that others share.
};

/// The headers of a 200 or 304 with log entries. `cursor` for live requests; `unique` makes the
/// ETag of a response without changes its own.
void add_log_headers(head_writer& head, const log_slice& slice, read_mode mode,
                     const cache_policy& policy, std::string_view cursor, std::uint64_t unique,
                     bool not_modified);

/// The headers of a 200 with a subset.
void add_subset_headers(head_writer& head, const subset_answer& subset, bool personal = false);

/// cache-control of an error (any status from 400 on, but 409).
void add_error_cache_headers(head_writer& head, method verb);
/// cache-control, handle and ETag of a 409.
void add_gone_headers(head_writer& head, const std::optional<std::string>& handle, method verb,
                      bool personal = false);
/// content-type and retry-after of a 503 that the session asks for; says if we know the trouble.
void add_trouble_headers(head_writer& head, const refusal& what);
/// Of what goes wrong on our side, bodies name the request, so that it can be found in the log.
std::string trouble_body(const refusal& what, std::string_view request_id);

/// The status, and what is known of the outage.
std::string health_body(std::string_view status, const std::optional<outage>& away);
std::string conditions_body(std::string_view status, std::span<const condition> conditions);
std::string up_to_date_message(std::uint64_t last_seen_lsn);
/// {"message":…}, and the request's id if it is not empty.
std::string message_body(std::string_view message, std::string_view request_id = {});
std::string error_body(std::string_view message);        ///< {"error":…}
std::string validation_body(const field_errors& errors); ///< {"message":…,"errors":…}

/// Those of the header names in `requested` that a cross-origin client may send.
std::string allowed_headers(std::string_view requested);

/// "Sun, 22 Nov 2026 09:53:49 GMT"
std::string http_date(std::chrono::sys_seconds time);
/// "2026-11-22T09:53:49Z", as in RFC 3339.
std::string timestamp(std::chrono::sys_seconds time);

std::string_view reason_of(int status) noexcept;

} // namespace busbar::http
