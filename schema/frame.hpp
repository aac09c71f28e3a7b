// schema/frame.hpp: a Frame as every part of the process passes it on: built once, then immutable
// and shared. Format: frame.capnp.
#pragma once

#include "base/result.hpp"
#include "schema/frame.capnp.h"

#include <capnp/message.h>
#include <capnp/serialize.h>

#include <cstddef>
#include <cstdint>
#include <memory>
#include <string>
#include <string_view>

namespace busbar {

/// A handle on one immutable Frame; copying it shares the bytes. Any thread.
class frame {
public:
  frame() = default;

  /// Takes over what a decoder has built.
  static frame build(capnp::MessageBuilder& message);

  /// Reads a frame that came from another node or from disk; checks that it is well-formed.
  static result<frame> parse(std::string_view bytes);

  /// The bytes of a frame that was made here, which `owner` keeps where they are.
  static frame borrow(std::string_view bytes, std::shared_ptr<const void> owner);

  /// Only if *this is not empty.
  schema::Frame::Reader read() const { return body_->root; }
  bool empty() const noexcept { return body_ == nullptr; }
  std::size_t size_bytes() const noexcept;
  std::string_view bytes() const noexcept;

private:
  struct body {
    explicit body(kj::Array<capnp::word> taken);
    body(kj::ArrayPtr<const capnp::word> borrowed, std::shared_ptr<const void> from);
    std::shared_ptr<const void> owner; ///< Of the words, if they are borrowed.
    kj::Array<capnp::word> taken;      ///< If not.
    kj::ArrayPtr<const capnp::word> words;
    capnp::FlatArrayMessageReader reader;
    schema::Frame::Reader root;
  };
  explicit frame(std::shared_ptr<const body> b) : body_{std::move(b)} {}
  std::shared_ptr<const body> body_;
};

/// Steps over the columns of one row image (frame.capnp, `rows`), in place.
class row_image {
public:
  explicit row_image(std::string_view bytes) noexcept;

  std::uint16_t column_count() const noexcept { return count_; }

  /// Sets `is_null` or `text` to the next column's; false at the end or on malformed bytes.
  bool next(bool& is_null, std::string_view& text) noexcept;

private:
  const char* at_ = nullptr;
  const char* end_ = nullptr;
  std::uint16_t count_ = 0;
};

} // namespace busbar
