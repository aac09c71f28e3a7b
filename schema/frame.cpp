#include "schema/frame.hpp"

#include "base/bytes.hpp"

#include <kj/exception.h>

#include <cstring>

namespace busbar {

namespace {

// Frames are trusted once parsed, and larger than Cap'n Proto's default limit of 64 MB in total
// traversal, because a frame is read once by each materializer.
capnp::ReaderOptions reader_options() {
  capnp::ReaderOptions options;
  options.traversalLimitInWords = ~std::uint64_t{0} >> 8;
  return options;
}

/// Visits everything that a reader may ask for, so that it can rely on it: Cap'n Proto checks each
/// pointer (by throwing) only when it is followed, and indices are ours to check.
bool is_sound(schema::Frame::Reader root) {
  const auto changes = root.getChanges();
  const auto rows = root.getRows().size();
  const auto transactions = root.getTransactions();
  const auto inside = [](std::uint64_t at, std::uint64_t count, std::uint64_t size) {
    return at + count <= size;
  };
  for (const auto transaction : transactions)
    if (!inside(transaction.getFirstChange(), transaction.getChangeCount(), changes.size()))
      return false;
  for (const auto change : changes)
    if (!inside(change.getOldAt(), change.getOldBytes(), rows) ||
        !inside(change.getNewAt(), change.getNewBytes(), rows))
      return false;
  for (const auto relation : root.getRelations()) {
    relation.getSchema();
    relation.getName();
    for (const auto column : relation.getColumns())
      column.getName();
    relation.getAncestors();
  }
  for (const auto facts : root.getTables()) {
    facts.getTable().getSchema();
    facts.getTable().getName();
    facts.getTable().getDatabaseCtype();
    for (const auto column : facts.getTable().getColumns()) {
      column.getName();
      column.getTypeName();
      column.getTypeClass();
      column.getIntervalFields();
      column.getCtype();
      column.getEnumType().getSchema();
      column.getEnumType().getName();
      for (const auto label : column.getEnumType().getLabels())
        static_cast<void>(label);
      column.getBase().getTypeName();
      column.getBase().getTypeClass();
    }
    facts.getPublishedBy();
    facts.getPublishedAbove();
    facts.getPlacedBy();
    facts.getPartitions();
  }
  root.getTablesSeen().getXip();
  for (const auto message : root.getMessages()) {
    message.getContent();
    if (message.getTransaction() >= transactions.size())
      return false;
  }
  return true;
}

} // namespace

frame::body::body(kj::Array<capnp::word> from)
    : taken{kj::mv(from)}, words{taken.asPtr()}, reader{words, reader_options()},
      root{reader.getRoot<schema::Frame>()} {}
frame::body::body(kj::ArrayPtr<const capnp::word> borrowed, std::shared_ptr<const void> from)
    : owner{std::move(from)}, words{borrowed}, reader{words, reader_options()},
      root{reader.getRoot<schema::Frame>()} {}

frame frame::borrow(std::string_view bytes, std::shared_ptr<const void> owner) {
  const auto* const words = reinterpret_cast<const capnp::word*>(bytes.data());
  return frame{std::make_shared<const body>(kj::arrayPtr(words, bytes.size() / sizeof(capnp::word)),
                                            std::move(owner))};
}

frame frame::build(capnp::MessageBuilder& message) {
  return frame{std::make_shared<const body>(capnp::messageToFlatArray(message))};
}

result<frame> frame::parse(std::string_view bytes) {
  if (bytes.empty() || bytes.size() % sizeof(capnp::word) != 0)
    return fail(errc::corrupt, "frame of " + std::to_string(bytes.size()) + " bytes");
  auto words = kj::heapArray<capnp::word>(bytes.size() / sizeof(capnp::word));
  std::memcpy(words.begin(), bytes.data(), bytes.size());
  std::shared_ptr<const body> parsed;
  bool sound = false;
  auto problem = kj::runCatchingExceptions([&] {
    parsed = std::make_shared<const body>(kj::mv(words));
    sound = is_sound(parsed->root);
  });
  KJ_IF_MAYBE (what, problem)
    return fail(errc::corrupt, std::string{"frame: "} + what->getDescription().cStr());
  if (!sound)
    return fail(errc::corrupt, "frame: an index points nowhere");
  return frame{std::move(parsed)};
}

std::size_t frame::size_bytes() const noexcept {
  return body_ ? body_->words.size() * sizeof(capnp::word) : 0;
}

std::string_view frame::bytes() const noexcept {
  if (!body_)
    return {};
  return {reinterpret_cast<const char*>(body_->words.begin()), size_bytes()};
}

row_image::row_image(std::string_view bytes) noexcept {
  if (bytes.size() < 2)
    return;
  at_ = bytes.data() + 2;
  end_ = bytes.data() + bytes.size();
  count_ = read_be16(bytes.data());
}

bool row_image::next(bool& is_null, std::string_view& text) noexcept {
  if (at_ == end_)
    return false;
  const char tag = *at_++;
  if (tag == 'n') {
    is_null = true;
    text = {};
    return true;
  }
  if (tag != 't' || end_ - at_ < 4)
    return false;
  const auto length = read_be32(at_);
  at_ += 4;
  if (static_cast<std::uint64_t>(end_ - at_) < length)
    return false;
  is_null = false;
  text = {at_, length};
  at_ += length;
  return true;
}

} // namespace busbar
