#include "http/response_head.hpp"

#include "actors/entity_tag.hpp"
#include "base/json_text.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <utility>

namespace busbar::http {

namespace {

void append_number(std::string& out, std::int64_t value) {
  std::array<char, 24> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  out.append(digits.data(), end);
}

void append_number(std::string& out, std::uint64_t value) {
  std::array<char, 24> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), value).ptr;
  out.append(digits.data(), end);
}

void append_padded(std::string& out, unsigned value, unsigned digits) {
  std::array<char, 10> text{};
  for (unsigned i = digits; i > 0; --i, value /= 10)
    text[i - 1] = static_cast<char>('0' + value % 10);
  out.append(text.data(), digits);
}

std::string shape_cache_control(const log_slice& slice, read_mode mode,
                                const cache_policy& policy) {
  if (mode.posted)
    return "no-cache";
  // The client's own cache asks each time: by then the token may be worth nothing.
  if (mode.personal)
    return std::string{default_cache_control};
  if (mode.stale_since) // nobody should hear of the outage when it is over
    return "public, max-age=5, stale-while-revalidate=5";
  if (!slice.now && slice.requested == log_offset::start())
    return "public, max-age=604800, s-maxage=3600, stale-while-revalidate=2629746";
  if (mode.live && mode.sse)
    return "public, max-age=" +
           std::to_string(std::max<std::int64_t>(policy.sse_lifetime.count() - 1, 1));
  if (mode.live)
    return "public, max-age=5, stale-while-revalidate=5";
  return "public, max-age=" + std::to_string(policy.max_age.count()) +
         ", stale-while-revalidate=" + std::to_string(policy.stale_age.count());
}

} // namespace

head_writer::head_writer(std::string& out, int status, const response_context& context,
                         cors methods)
    : out_{out}, http_1_1_{context.http_1_1} {
  out_ += context.http_1_1 ? "HTTP/1.1 " : "HTTP/1.0 ";
  append_number(out_, static_cast<std::int64_t>(status));
  out_ += ' ';
  out_ += reason_of(status);
  out_ += "\r\n";
  add("date", context.date);
  if (!context.keep_alive)
    out_ += "connection: close\r\n";
  else if (!context.http_1_1)
    out_ += "connection: keep-alive\r\n";
  // What a cache keeps for one origin says so, or it would be refused to the pages of others.
  if (status != 204) {
    out_ += context.origin.empty() ? "vary: accept-encoding" : "vary: accept-encoding, origin";
    out_ += context.personal ? ", authorization\r\n" : "\r\n";
  }
  add("x-request-id", context.request_id);
  add("electric-server", context.server);
  add("access-control-allow-origin", context.origin.empty() ? "*" : context.origin);
  out_ += "access-control-expose-headers: electric-cursor,electric-handle,electric-has-data,"
          "electric-offset,electric-schema,electric-up-to-date,electric-internal-known-error,"
          "electric-snapshot,retry-after,busbar-stale-since\r\n";
  out_ += methods == cors::shape
              ? "access-control-allow-methods: GET, POST, HEAD, DELETE, OPTIONS\r\n"
              : "access-control-allow-methods: GET, HEAD\r\n";
}

head_writer& head_writer::add(std::string_view name, std::string_view value) {
  out_ += name;
  out_ += ": ";
  out_ += value;
  out_ += "\r\n";
  return *this;
}

head_writer& head_writer::add(std::string_view name, std::uint64_t value) {
  out_ += name;
  out_ += ": ";
  append_number(out_, value);
  out_ += "\r\n";
  return *this;
}

void head_writer::end_with_length(std::size_t body_bytes) {
  add("content-length", std::uint64_t{body_bytes});
  out_ += "\r\n";
}

void head_writer::end_streamed() {
  out_ += http_1_1_ ? "transfer-encoding: chunked\r\n\r\n" : "\r\n";
}

void head_writer::end_without_body() {
  out_ += "\r\n";
}

void add_log_headers(head_writer& head, const log_slice& slice, read_mode mode,
                     const cache_policy& policy, std::string_view cursor, std::uint64_t unique,
                     bool not_modified) {
  const auto end = to_string(slice.end);
  const bool no_changes = slice.no_changes && !not_modified;
  // Bytes that a coding changed are others: RFC 9110 allows them the same tag if it is weak.
  std::string etag = mode.in != coding::identity || slice.weak_tag ? "W/\"" : "\"";
  etag += entity_tag(slice);
  if (no_changes) {
    etag += ':';
    append_number(etag, unique);
  }
  etag += '"';
  head.add("cache-control", shape_cache_control(slice, mode, policy));
  head.add("content-type", mode.sse && !not_modified ? "text/event-stream" : json_type);
  if (mode.in != coding::identity)
    head.add("content-encoding", name_of(mode.in));
  if (!cursor.empty())
    head.add("electric-cursor", cursor);
  head.add("etag", etag);
  head.add("electric-handle", slice.handle);
  if (!mode.live && !not_modified && slice.schema_json)
    head.add("electric-schema", *slice.schema_json);
  if (slice.up_to_date || (mode.sse && !not_modified))
    head.add("electric-up-to-date", "");
  head.add("electric-has-data", no_changes ? "false" : "true");
  head.add("electric-offset", end);
  if (mode.stale_since)
    head.add("busbar-stale-since", timestamp(*mode.stale_since));
}

void add_subset_headers(head_writer& head, const subset_answer& subset, bool personal) {
  head.add("cache-control", personal ? "private, no-cache" : "no-cache")
      .add("content-type", json_type)
      .add("electric-snapshot", "true")
      .add("electric-handle", subset.handle);
  if (subset.in != coding::identity)
    head.add("content-encoding", name_of(subset.in));
  if (subset.schema_json)
    head.add("electric-schema", *subset.schema_json);
  head.add("electric-offset", to_string(subset.end));
}

void add_error_cache_headers(head_writer& head, method verb) {
  if (verb == method::post || verb == method::delete_) {
    head.add("cache-control", "no-cache");
    return;
  }
  head.add("cache-control", "no-store").add("surrogate-control", "no-store");
}

void add_gone_headers(head_writer& head, const std::optional<std::string>& handle, method verb,
                      bool personal) {
  head.add("cache-control", verb == method::post ? "no-cache"
                            : personal           ? default_cache_control
                            : handle             ? "public, max-age=60, must-revalidate"
                                                 : "public, max-age=1, must-revalidate");
  if (!handle)
    return;
  head.add("etag", '"' + *handle + "::\"").add("electric-handle", *handle);
}

void add_trouble_headers(head_writer& head, const refusal& what) {
  const auto because = what.because;
  const bool known = because == cause::snapshot || (what.why.known && because == cause::busy);
  head.add("content-type", json_type);
  if (known)
    head.add("electric-internal-known-error", "true");
  std::uint64_t seconds = 5;
  if (because == cause::creation)
    seconds = 1;
  else if (known || because == cause::database)
    seconds = 10;
  head.add("retry-after", seconds);
}

std::string trouble_body(const refusal& what, std::string_view request_id) {
  if (what.because != cause::database)
    return message_body(what.why.message, request_id);
  std::string body = R"({"code":"database_unreachable","error":)";
  append_json_string(body, what.why.message);
  body += R"(,"request_id":)";
  append_json_string(body, request_id);
  body += '}';
  return body;
}

std::string health_body(std::string_view status, const std::optional<outage>& away) {
  std::string body = R"({"status":)";
  append_json_string(body, status);
  if (away) {
    body += R"(,"cause":)";
    append_json_string(body, away->cause);
    body += R"(,"message":)";
    append_json_string(body, away->message);
    body += R"(,"misconfigured":)";
    body += away->misconfigured ? "true" : "false";
    body += R"(,"since":")" + timestamp(away->since) + '"';
  }
  body += '}';
  return body;
}

std::string conditions_body(std::string_view status, std::span<const condition> conditions) {
  std::string body = R"({"status":)";
  append_json_string(body, status);
  body += R"(,"conditions":[)";
  for (bool first = true; const auto& one : conditions) {
    body += std::exchange(first, false) ? R"({"name":)" : R"(,{"name":)";
    append_json_string(body, one.name);
    body += one.met ? R"(,"met":true)" : R"(,"met":false,"reason":)";
    if (!one.met) {
      append_json_string(body, one.reason);
      body += R"(,"message":)";
      append_json_string(body, one.message);
    }
    body += '}';
  }
  return body + "]}";
}

std::string up_to_date_message(std::uint64_t last_seen_lsn) {
  std::string text = R"({"headers":{"control":"up-to-date","global_last_seen_lsn":")";
  append_number(text, last_seen_lsn);
  text += "\"}}";
  return text;
}

std::string message_body(std::string_view message, std::string_view request_id) {
  std::string body = R"({"message":)";
  append_json_string(body, message);
  if (!request_id.empty()) {
    body += R"(,"request_id":)";
    append_json_string(body, request_id);
  }
  body += '}';
  return body;
}

std::string error_body(std::string_view message) {
  std::string body = R"({"error":)";
  append_json_string(body, message);
  body += '}';
  return body;
}

std::string validation_body(const field_errors& errors) {
  // Complaints of a subset never stand beside others; their fields are nested in one object.
  constexpr std::string_view subset = "subset.";
  const bool nested = !errors.empty() && errors.front().field.starts_with(subset);
  std::string body = R"({"message":"Invalid request","errors":{)";
  if (nested)
    body += R"("subset":{)";
  for (std::size_t i = 0; i < errors.size(); ++i) {
    // Complaints of one field stand side by side in its list.
    const bool continues = i > 0 && errors[i - 1].field == errors[i].field;
    const bool goes_on = i + 1 < errors.size() && errors[i + 1].field == errors[i].field;
    if (i > 0)
      body += ',';
    if (!continues) {
      append_json_string(body,
                         std::string_view{errors[i].field}.substr(nested ? subset.size() : 0));
      body += ':';
      if (!errors[i].plain)
        body += '[';
    }
    append_json_string(body, errors[i].message);
    if (!goes_on && !errors[i].plain)
      body += ']';
  }
  body += nested ? "}}}" : "}}";
  return body;
}

std::string allowed_headers(std::string_view requested) {
  constexpr std::array<std::string_view, 4> always{"content-type", "authorization", "if-none-match",
                                                   "traceparent"};
  std::string allowed;
  while (!requested.empty()) {
    const auto name = next_list_element(requested);
    const bool known = std::any_of(always.begin(), always.end(), [name](std::string_view one) {
      return equals_ignoring_case(name, one);
    });
    if (!known && (!is_token(name) || !equals_ignoring_case(name.substr(0, 2), "x-")))
      continue;
    if (!allowed.empty())
      allowed += ", ";
    allowed += name;
  }
  return allowed;
}

std::string http_date(std::chrono::sys_seconds time) {
  constexpr std::array<std::string_view, 7> weekdays{"Sun", "Mon", "Tue", "Wed",
                                                     "Thu", "Fri", "Sat"};
  constexpr std::array<std::string_view, 12> months{"Jan", "Feb", "Mar", "Apr", "May", "Jun",
                                                    "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date{day};
  const std::chrono::hh_mm_ss clock{time - day};
  std::string text{weekdays[std::chrono::weekday{day}.c_encoding()]};
  text += ", ";
  append_padded(text, static_cast<unsigned>(date.day()), 2);
  text += ' ';
  text += months[static_cast<unsigned>(date.month()) - 1];
  text += ' ';
  append_padded(text, static_cast<unsigned>(static_cast<int>(date.year())), 4);
  text += ' ';
  append_padded(text, static_cast<unsigned>(clock.hours().count()), 2);
  text += ':';
  append_padded(text, static_cast<unsigned>(clock.minutes().count()), 2);
  text += ':';
  append_padded(text, static_cast<unsigned>(clock.seconds().count()), 2);
  text += " GMT";
  return text;
}

std::string timestamp(std::chrono::sys_seconds time) {
  const auto day = std::chrono::floor<std::chrono::days>(time);
  const std::chrono::year_month_day date{day};
  const std::chrono::hh_mm_ss clock{time - day};
  std::string text;
  append_padded(text, static_cast<unsigned>(static_cast<int>(date.year())), 4);
  text += '-';
  append_padded(text, static_cast<unsigned>(date.month()), 2);
  text += '-';
  append_padded(text, static_cast<unsigned>(date.day()), 2);
  text += 'T';
  append_padded(text, static_cast<unsigned>(clock.hours().count()), 2);
  text += ':';
  append_padded(text, static_cast<unsigned>(clock.minutes().count()), 2);
  text += ':';
  append_padded(text, static_cast<unsigned>(clock.seconds().count()), 2);
  text += 'Z';
  return text;
}

std::string_view reason_of(int status) noexcept {
  switch (status) {
  case 200:
    return "OK";
  case 202:
    return "Accepted";
  case 204:
    return "No Content";
  case 304:
    return "Not Modified";
  case 400:
    return "Bad Request";
  case 401:
    return "Unauthorized";
  case 403:
    return "Forbidden";
  case 404:
    return "Not Found";
  case 405:
    return "Method Not Allowed";
  case 408:
    return "Request Timeout";
  case 409:
    return "Conflict";
  case 413:
    return "Content Too Large";
  case 414:
    return "URI Too Long";
  case 429:
    return "Too Many Requests";
  case 431:
    return "Request Header Fields Too Large";
  case 500:
    return "Internal Server Error";
  case 503:
    return "Service Unavailable";
  case 505:
    return "HTTP Version Not Supported";
  default:
    return "Unknown";
  }
}

} // namespace busbar::http
