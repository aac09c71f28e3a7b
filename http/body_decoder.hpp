// http/body_decoder.hpp: takes the body of one request out of the bytes behind its head (RFC 9112,
// 6 and 7).
#pragma once

#include "http/request_head.hpp"

#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

namespace busbar::http {

/// Fed with input as it arrives; looks at no byte twice. Strict, like the parser of heads: what
/// another implementation could read as another body is refused.
class body_decoder {
public:
  /// By content-length, or chunked. Bodies above `bytes_max` are refused with 413.
  static body_decoder of_length(std::uint64_t bytes, std::size_t bytes_max);
  static body_decoder chunked(std::size_t bytes_max);

  /// Appends what belongs to the body to `body`, and returns how much of `input` was used: all of
  /// it, unless the body ends within. The error is the status to close the connection with.
  parsed<std::size_t> decode(std::string_view input, std::string& body);
  bool done() const noexcept { return at_ == place::done; }

private:
  enum class place : std::uint8_t {
    plain,     // content-length
    size,      // the hexadecimal size of a chunk
    extension, // what follows the size and means nothing to us
    size_end,  // the line feed of the size's line
    data,
    data_end, // the line end of a chunk
    data_end_2,
    trailer, // the beginning of a line behind the last chunk
    trailer_line,
    trailer_end, // its line feed
    last_end,    // the line feed of the empty line that ends it all
    done,
  };
  explicit body_decoder(place begin, std::uint64_t rest, std::size_t bytes_max)
      : rest_{rest}, bytes_max_{bytes_max}, at_{begin} {}
  bool step(char c);

  std::uint64_t rest_; // of the body, or of the present chunk
  std::size_t bytes_max_;
  std::uint32_t digits_ = 0;
  std::uint32_t ignored_ = 0; // bytes of extensions and trailers
  place at_;
};

} // namespace busbar::http
