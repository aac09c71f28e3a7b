// http/request_head.hpp: the head of an HTTP/1 request: where it ends, and what it says.
//
// A parser of our own, because Boost.Beast's can neither tell an over-long request line (414) from
// an over-long header (431), nor count headers, and it unfolds obs-fold instead of refusing it.
// Whatever two implementations could read differently is refused here, so that no proxy in front of
// us can be made to see other requests than we do.
#pragma once

#include <tl/expected.hpp>

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

namespace busbar::http {

enum class method : std::uint8_t { get, head, post, delete_, options, other };

struct head_limits {
  std::size_t request_line_bytes_max = 10'000; ///< Longer: 414.
  std::size_t header_bytes_max = 10'000;       ///< Longer: 431.
  std::size_t headers_max = 50;                ///< More: 431.
};

/// The values of a header that is a list and may come in several lines, which count as one (RFC
/// 9110, 5.3).
class header_list {
public:
  void add(std::string_view line) {
    if (first_.empty())
      first_ = line;
    else if (!line.empty())
      more_.push_back(line);
  }
  std::string text() const {
    std::string all{first_};
    for (const auto line : more_)
      all.append(", ").append(line);
    return all;
  }

private:
  std::string_view first_;
  std::vector<std::string_view> more_;
};

/// What we need of a request. The views point into the bytes it was parsed from.
struct request_head {
  method verb = method::other;
  std::string_view target;
  bool http_1_1 = true;   ///< Else HTTP/1.0.
  bool keep_alive = true; ///< By version and `connection`.
  std::uint64_t content_length = 0;
  bool chunked = false;
  bool expects_continue = false;
  // Empty if absent.
  std::string_view host;
  std::string_view origin;
  header_list if_none_match;
  std::string_view authorization; ///< Of several lines, which may contradict each other, none.
  bool authorized_twice = false;
  header_list accept_encoding;
  std::string_view request_id;
  std::string_view traceparent;
  std::string_view preflight_headers; ///< access-control-request-headers
};

/// The error is the HTTP status to close the connection with.
template <class T>
using parsed = tl::expected<T, int>;

/// Finds the end of a head in bytes that arrive bit by bit, and looks at none of them twice. All
/// calls until reset() get the same bytes, with more at the end. Empty lines before a request are
/// the caller's to skip.
class head_scanner {
public:
  /// The length of the head with its empty line; 0 while that is not there yet.
  parsed<std::size_t> scan(std::string_view bytes, const head_limits& limits);
  void reset() noexcept { *this = {}; }

private:
  std::uint32_t scanned_ = 0;
  std::uint32_t line_ = 0;  // where the present line begins
  std::uint16_t lines_ = 0; // complete lines before it
};

/// `bytes` is what scan() measured.
parsed<request_head> parse_request_head(std::string_view bytes);

/// Compares header names and tokens; `lower` is in lower case.
bool equals_ignoring_case(std::string_view text, std::string_view lower) noexcept;

/// True if every byte may stand in an HTTP token, and there is one.
bool is_token(std::string_view text) noexcept;

/// Without the spaces and tabs around it.
std::string_view trim(std::string_view text) noexcept;

/// Takes the next element off a comma-separated list, without the spaces around it.
std::string_view next_list_element(std::string_view& list) noexcept;

} // namespace busbar::http
