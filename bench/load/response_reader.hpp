// bench/load/response_reader.hpp: understands HTTP/1.1 responses that come in pieces. Keeps the
// head and counts the body: it must cost little beside the server that is measured.
#pragma once

#include "base/result.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <string>
#include <string_view>

namespace busbar::bench {

/// The value of a header, without surrounding blanks; empty if absent. `name` in lower case.
std::string_view header_in(std::string_view head, std::string_view name);
bool has_header(std::string_view head, std::string_view name);

/// Life of each response: take() until complete() → its facts → reset().
class response_reader {
public:
  using body_sink = std::function<void(std::string_view)>; ///< Sees every byte of the body.

  /// Returns how many bytes belonged to this response: fewer than given only if it is complete.
  result<std::size_t> take(std::string_view bytes, const body_sink& sink = {});
  bool complete() const noexcept { return at_ == part::complete; }
  bool begun() const noexcept { return at_ != part::head || !head_.empty(); }
  void reset();

  int status() const noexcept { return status_; }
  const std::string& head() const noexcept { return head_; } ///< With its empty line.
  std::uint64_t body_bytes() const noexcept { return body_bytes_; }

private:
  enum class part : std::uint8_t { head, body, chunk_size, chunk_end, trailer, complete };
  std::size_t take_head(std::string_view bytes);
  result<void> begin_body();
  result<std::size_t> take_line(std::string_view bytes);
  result<void> end_line();

  part at_ = part::head;
  bool chunked_ = false;
  int status_ = 0;
  std::string head_;
  std::string line_;       ///< Of a chunk's size or end, half received.
  std::uint64_t left_ = 0; ///< Of the body or the chunk.
  std::uint64_t body_bytes_ = 0;
};

} // namespace busbar::bench
