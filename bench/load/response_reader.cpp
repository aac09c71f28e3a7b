#include "bench/load/response_reader.hpp"

#include <algorithm>
#include <charconv>

namespace busbar::bench {
namespace {

constexpr std::size_t head_bytes_max = 64 * 1024;
constexpr std::size_t line_bytes_max = 1024; // of a chunk's size

char lower(char c) {
  return c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
}

bool same_name(std::string_view a, std::string_view b) {
  return a.size() == b.size() &&
         std::equal(a.begin(), a.end(), b.begin(), [](char x, char y) { return lower(x) == y; });
}

/// What follows the name's colon; null data if there is no such header.
std::string_view raw_value(std::string_view head, std::string_view name) {
  while (!head.empty()) {
    const std::string_view line = head.substr(0, head.find('\n'));
    const std::size_t colon = line.find(':');
    if (colon != std::string_view::npos && same_name(line.substr(0, colon), name))
      return line.substr(colon + 1);
    head.remove_prefix(std::min(head.size(), line.size() + 1));
  }
  return {};
}

error malformed(const std::string& what) {
  return {errc::corrupt, "malformed HTTP response: " + what};
}

} // namespace

std::string_view header_in(std::string_view head, std::string_view name) {
  const std::string_view value = raw_value(head, name);
  const std::size_t first = value.find_first_not_of(" \t\r");
  if (first == std::string_view::npos)
    return {};
  return value.substr(first, value.find_last_not_of(" \t\r") + 1 - first);
}

bool has_header(std::string_view head, std::string_view name) {
  return raw_value(head, name).data() != nullptr;
}

void response_reader::reset() {
  at_ = part::head;
  head_.clear();
  line_.clear();
  body_bytes_ = 0;
}

result<std::size_t> response_reader::take(std::string_view bytes, const body_sink& sink) {
  std::size_t used = 0;
  while (used < bytes.size() && at_ != part::complete) {
    const auto rest = bytes.substr(used);
    if (at_ == part::head) {
      used += take_head(rest);
      if (head_.size() > head_bytes_max)
        return fail(malformed("a head without end"));
      if (head_.ends_with("\r\n\r\n"))
        if (auto begun = begin_body(); !begun)
          return fail(begun.error());
    } else if (at_ == part::body) {
      const auto here =
          rest.substr(0, static_cast<std::size_t>(std::min<std::uint64_t>(left_, rest.size())));
      if (sink)
        sink(here);
      body_bytes_ += here.size();
      left_ -= here.size();
      used += here.size();
      if (left_ == 0)
        at_ = chunked_ ? part::chunk_end : part::complete;
    } else {
      auto taken = take_line(rest);
      if (!taken)
        return taken;
      used += *taken;
    }
  }
  return used;
}

/// Up to the end of the empty line; the body behind it may be large and is not touched.
std::size_t response_reader::take_head(std::string_view bytes) {
  constexpr std::string_view end = "\r\n\r\n";
  const std::size_t before = head_.size();
  if (const auto at = bytes.find(end); at != std::string_view::npos)
    bytes = bytes.substr(0, at + end.size());
  head_.append(bytes);
  // The end may have come in two pieces, and then what follows is no head either.
  if (const auto at = head_.find(end, before - std::min(before, end.size() - 1));
      at != std::string::npos)
    head_.resize(at + end.size());
  return head_.size() - before;
}

result<void> response_reader::begin_body() {
  const std::string_view code =
      std::string_view{head_}.substr(std::min<std::size_t>(9, head_.size()), 3);
  if (!head_.starts_with("HTTP/1.1 ") ||
      std::from_chars(code.data(), code.data() + code.size(), status_).ec != std::errc{})
    return fail(malformed(head_.substr(0, 100)));
  chunked_ = same_name(header_in(head_, "transfer-encoding"), "chunked");
  if (chunked_) {
    at_ = part::chunk_size;
    return {};
  }
  left_ = 0;
  const std::string_view length = header_in(head_, "content-length");
  const bool bodiless = status_ == 204 || status_ == 304;
  if (!bodiless &&
      std::from_chars(length.data(), length.data() + length.size(), left_).ec != std::errc{})
    return fail(malformed("neither content-length nor chunked"));
  at_ = bodiless || left_ == 0 ? part::complete : part::body;
  return {};
}

result<std::size_t> response_reader::take_line(std::string_view bytes) {
  const std::size_t end = bytes.find('\n');
  const std::size_t used = end == std::string_view::npos ? bytes.size() : end + 1;
  line_.append(bytes.substr(0, used));
  if (line_.size() > line_bytes_max)
    return fail(malformed("a chunk's head without end"));
  if (end != std::string_view::npos)
    if (auto done = end_line(); !done)
      return fail(done.error());
  return used;
}

result<void> response_reader::end_line() {
  std::string line;
  line.swap(line_);
  if (at_ != part::chunk_size) {
    if (line != "\r\n")
      return fail(malformed("a chunk without an end"));
    at_ = at_ == part::trailer ? part::complete : part::chunk_size;
    return {};
  }
  if (std::from_chars(line.data(), line.data() + line.size(), left_, 16).ec != std::errc{})
    return fail(malformed("chunk size " + line));
  at_ = left_ == 0 ? part::trailer : part::body;
  return {};
}

} // namespace busbar::bench
