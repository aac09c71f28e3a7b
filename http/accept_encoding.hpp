// http/accept_encoding.hpp: which coding a client wants (RFC 9110 12.5.3).
#pragma once

#include "base/coding.hpp"

#include <string_view>

namespace busbar::http {

/// Of the codings that we have the one that the header likes best; of equals, zstd. Identity if it
/// names none of them: also a client that refuses identity gets that rather than nothing.
coding preferred_coding(std::string_view accept_encoding) noexcept;

} // namespace busbar::http
