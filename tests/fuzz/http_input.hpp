// tests/fuzz/http_input.hpp: what must hold for any bytes that a client may send.
#pragma once

#include <cstddef>
#include <functional>
#include <string>
#include <string_view>

namespace busbar::fuzz {

/// Where the next piece of the input ends, given where this one begins; beyond it means the rest.
using next_cut = std::function<std::size_t(std::size_t from)>;

/// All that the server's parsers make of one connection's bytes, which arrive in these pieces, as a
/// text: heads, bodies, parameters, and the refusal that ends it, if one does. A broken invariant
/// is a line that starts with "BROKEN".
std::string transcript_of(std::string_view bytes, const next_cut& cut);

/// What is wrong with the parsers, shown by these bytes; empty if nothing is. Compares the
/// transcript of the whole with those of the same bytes cut up: at every byte, and with `thorough`
/// also in two at each place.
std::string fault_shown_by(std::string_view bytes, bool thorough);

} // namespace busbar::fuzz
