// http/request_identity.hpp: what a request is called, here and by those who sent it.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

namespace busbar::http {

/// True if a client's x-request-id may be ours, too: 20 to 200 visible ASCII characters, so that it
/// neither collides soon nor does anything to a log.
bool is_request_id(std::string_view text) noexcept;

/// 20 letters from two random numbers.
std::string make_request_id(std::uint64_t a, std::uint64_t b);

/// The trace id, 32 digits, of a `traceparent` (W3C Trace Context); empty if it is malformed.
std::string_view trace_id_of(std::string_view traceparent) noexcept;

} // namespace busbar::http
