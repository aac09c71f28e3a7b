// base/result.hpp: errors as values. A code for the program, a sentence for the human.
#pragma once

#include <tl/expected.hpp>

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>

namespace busbar {

/// What the caller can do about it, not where it happened.
enum class errc : std::uint8_t {
  ok = 0,
  invalid_argument, ///< The request or the setting is wrong; repeating it cannot help.   HTTP 400
  not_found,        ///< What was named does not exist.                          HTTP 400 or 404
  must_refetch,     ///< The client's shape is gone; it starts again from nothing.        HTTP 409
  unavailable,      ///< Ours or PostgreSQL's trouble; retry with back-off.               HTTP 503
  misconfigured,    ///< A human must change a setting; the message says which.           HTTP 503
  corrupt,          ///< An invariant is broken; stop this shape, page a human.           HTTP 500
};

struct error {
  errc code = errc::ok;
  std::string message;
  std::string field = {}; ///< The request parameter or setting that is wrong, if one is.
  /// A trouble of the database that has a name, and that passes by itself or by a human's hand:
  /// clients are told so.
  bool known = false;

  /// "storage: log key of 3 bytes" becomes "recover shape 7: storage: log key of 3 bytes".
  error with_context(std::string_view doing) && {
    return {code, std::string{doing} + ": " + std::move(message), std::move(field), known};
  }
};

template <class T>
using result = tl::expected<T, error>;

/// `return fail(errc::corrupt, "…");` in a function that returns any result<T>.
inline tl::unexpected<error> fail(errc code, std::string message, std::string field = {}) {
  return tl::unexpected<error>{error{code, std::move(message), std::move(field)}};
}
inline tl::unexpected<error> fail(error e) {
  return tl::unexpected<error>{std::move(e)};
}

} // namespace busbar
