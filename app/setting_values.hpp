// app/setting_values.hpp: how the values of settings are written and read.
#pragma once

#include "base/result.hpp"

#include <chrono>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>

namespace busbar::app {

/// Bounds of a number, both inclusive, in the unit of the value.
struct bounds {
  std::uint64_t least = 0;
  std::uint64_t most = 0;
};

/// true/false, 1/0, yes/no, on/off; any case.
result<bool> read_boolean(std::string_view text);

/// Decimal digits only.
result<std::uint64_t> read_count(std::string_view text, bounds allowed);

/// A whole number with ms, s or m; a bare number is in `bare` units.
result<std::chrono::milliseconds> read_duration(std::string_view text,
                                                std::chrono::milliseconds bare,
                                                std::chrono::milliseconds least,
                                                std::chrono::milliseconds most);

/// A whole number with KB, MB, GB (powers of 1000) or KiB, MiB, GiB (of 1024); bare: bytes.
result<std::uint64_t> read_size(std::string_view text, bounds allowed);

/// The largest unit that needs no fraction: "20s", "1500ms", "10MiB", "1000000".
std::string write_duration(std::chrono::milliseconds value);
std::string write_size(std::uint64_t bytes);

/// The candidate that `word` most likely was meant to be; empty if none is near.
std::string_view nearest(std::string_view word, std::span<const std::string_view> candidates);

} // namespace busbar::app
