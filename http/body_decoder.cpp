#include "http/body_decoder.hpp"

#include <algorithm>

namespace busbar::http {

namespace {

constexpr std::uint32_t size_digits_max = 8;
/// Extensions and trailers of one body together.
constexpr std::uint32_t ignored_bytes_max = 8 * 1024;

int hex_value(char c) noexcept {
  if (c >= '0' && c <= '9')
    return c - '0';
  if (c >= 'a' && c <= 'f')
    return c - 'a' + 10;
  if (c >= 'A' && c <= 'F')
    return c - 'A' + 10;
  return -1;
}

bool is_text(char c) noexcept {
  return c == '\t' || (static_cast<unsigned char>(c) >= ' ' && c != '\x7f');
}

} // namespace

body_decoder body_decoder::of_length(std::uint64_t bytes, std::size_t bytes_max) {
  return body_decoder{bytes == 0 ? place::done : place::plain, bytes, bytes_max};
}

body_decoder body_decoder::chunked(std::size_t bytes_max) {
  return body_decoder{place::size, 0, bytes_max};
}

parsed<std::size_t> body_decoder::decode(std::string_view input, std::string& body) {
  const auto too_large = [&] { return rest_ > bytes_max_ - std::min(bytes_max_, body.size()); };
  std::size_t used = 0;
  while (used < input.size() && at_ != place::done) {
    if (at_ != place::plain && at_ != place::data) {
      if (!step(input[used++]))
        return tl::unexpected{400};
      if (at_ == place::data && too_large())
        return tl::unexpected{413};
      continue;
    }
    if (at_ == place::plain && too_large())
      return tl::unexpected{413};
    const auto part = static_cast<std::size_t>(std::min<std::uint64_t>(rest_, input.size() - used));
    body.append(input.substr(used, part));
    used += part;
    rest_ -= part;
    if (rest_ == 0)
      at_ = at_ == place::plain ? place::done : place::data_end;
  }
  return used;
}

/// One byte of what stands around the chunks; false if it must not stand there.
bool body_decoder::step(char c) {
  const auto go = [this](place next) {
    at_ = next;
    return true;
  };
  switch (at_) {
  case place::size: {
    if (const int value = hex_value(c); value >= 0) {
      rest_ = rest_ * 16 + static_cast<std::uint64_t>(value);
      return ++digits_ <= size_digits_max;
    }
    if (digits_ == 0)
      return false;
    if (c == '\r')
      return go(place::size_end);
    return c == ';' && go(place::extension);
  }
  case place::extension:
    if (c == '\r')
      return go(place::size_end);
    return is_text(c) && ++ignored_ <= ignored_bytes_max;
  case place::size_end:
    digits_ = 0;
    return c == '\n' && go(rest_ == 0 ? place::trailer : place::data);
  case place::data_end:
    return c == '\r' && go(place::data_end_2);
  case place::data_end_2:
    return c == '\n' && go(place::size);
  case place::trailer:
    if (c == '\r')
      return go(place::last_end);
    return is_text(c) && ++ignored_ <= ignored_bytes_max && go(place::trailer_line);
  case place::trailer_line:
    if (c == '\r')
      return go(place::trailer_end);
    return is_text(c) && ++ignored_ <= ignored_bytes_max;
  case place::trailer_end:
    return c == '\n' && go(place::trailer);
  case place::last_end:
    return c == '\n' && go(place::done);
  case place::plain:
  case place::data:
  case place::done:
    break;
  }
  return false;
}

} // namespace busbar::http
