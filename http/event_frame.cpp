#include "http/event_frame.hpp"

#include "http/response_head.hpp"

#include <array>
#include <charconv>

namespace busbar::http {

std::string chunk_head(std::size_t bytes) {
  std::array<char, 20> digits{};
  const auto end = std::to_chars(digits.data(), digits.data() + digits.size(), bytes, 16).ptr;
  std::string head{digits.data(), end};
  head += "\r\n";
  return head;
}

std::string up_to_date_event(const log_slice& slice) {
  if (!slice.up_to_date)
    return {};
  return "data: " + up_to_date_message(slice.last_seen_lsn) + "\n\n";
}

std::string chunked_events(const log_slice& slice) {
  const auto event = up_to_date_event(slice);
  const std::string_view entries =
      slice.ready ? std::string_view{*slice.ready} : std::string_view{};
  const auto bytes = entries.size() + event.size();
  if (bytes == 0)
    return {}; // an empty chunk would end the stream
  std::string chunk;
  chunk.reserve(bytes + 24);
  chunk += chunk_head(bytes);
  chunk += entries;
  chunk += event;
  chunk += "\r\n";
  return chunk;
}

} // namespace busbar::http
