#include "tests/integration/stream_reader.hpp"

namespace busbar::testing {

namespace {

std::string image_text(capnp::Data::Reader rows, std::uint32_t at, std::uint32_t bytes) {
  row_image image{{reinterpret_cast<const char*>(rows.begin()) + at, bytes}};
  std::string out;
  bool is_null = false;
  std::string_view text;
  for (bool first = true; image.next(is_null, text); first = false) {
    out += first ? "" : "|";
    out += is_null ? "~" : std::string{text};
  }
  return out;
}

std::string change_text(schema::Change::Reader change, capnp::Data::Reader rows) {
  const auto before = image_text(rows, change.getOldAt(), change.getOldBytes());
  const auto after = image_text(rows, change.getNewAt(), change.getNewBytes());
  const std::string key_only = change.getKeyOnly() ? "key only " : "";
  switch (change.getKind()) {
  case schema::Change::Kind::INSERT:
    return key_only + "+ " + after;
  case schema::Change::Kind::UPDATE:
    return key_only + (change.getOldBytes() == 0 ? "" : before + " ") + "> " + after;
  case schema::Change::Kind::DELETE:
    return key_only + "- " + before;
  case schema::Change::Kind::TRUNCATE:
    return "truncate";
  }
  return "?";
}

} // namespace

void stream_reader::read(const frame& taken) {
  const auto root = taken.read();
  std::vector<std::string> described;
  for (const auto relation : root.getRelations()) {
    tables_[relation.getOid()] = relation.getName().cStr();
    std::string text = std::string{relation.getSchema().cStr()} + "." + relation.getName().cStr();
    for (const auto column : relation.getColumns())
      text += std::string{" "} + column.getName().cStr();
    text += relation.getIdentityFull() ? " full" : " not full";
    for (const auto ancestor : relation.getAncestors())
      text += " < " + std::to_string(ancestor.getOid()) +
              (ancestor.getAttachedXid() == 0 ? "" : " attached");
    described.push_back(text);
  }
  std::uint32_t index = 0;
  for (const auto transaction : root.getTransactions()) {
    if (transaction.getBegins())
      open_ = {};
    open_.commit = lsn{transaction.getCommitLsn()};
    open_.end = lsn{transaction.getEndLsn()};
    open_.xid = transaction.getXid();
    ++open_.frames;
    open_.relations.insert(open_.relations.end(), described.begin(), described.end());
    described.clear();
    const auto first = transaction.getFirstChange();
    const auto count = transaction.getChangeCount();
    for (std::uint32_t i = 0; i <= count; ++i) {
      for (const auto message : root.getMessages())
        if (message.getTransaction() == index && message.getBeforeChange() == first + i) {
          const auto content = message.getContent();
          open_.changes.push_back("message " +
                                  std::string{content.asChars().begin(), content.size()});
        }
      if (i == count)
        break;
      const auto change = root.getChanges()[first + i];
      open_.changes.push_back(std::to_string(transaction.getFirstPosition() + 2 * i) + " " +
                              tables_[change.getRelation()] + " " +
                              change_text(change, root.getRows()));
    }
    if (transaction.getEnds())
      ready_.push_back(std::exchange(open_, {}));
    ++index;
  }
}

postgres::pg_result_of<bool> stream_reader::next_event(postgres::deadline until) {
  auto event = stream_.next(until);
  if (!event)
    return tl::unexpected<postgres::pg_error>{event.error()};
  if (!event->transactions.empty())
    read(event->transactions);
  if (event->idle_up_to > idle_)
    idle_ = event->idle_up_to;
  return !event->transactions.empty();
}

seen_transaction stream_reader::next_transaction() {
  // Those without changes, like that of a leader who takes its term, may share a frame with the
  // next, and a frame's relations are noted with its first transaction.
  std::vector<std::string> described;
  for (const auto until = in(10s); std::chrono::steady_clock::now() < until;) {
    while (!ready_.empty()) {
      auto first = std::move(ready_.front());
      ready_.pop_front();
      described.insert(described.end(), first.relations.begin(), first.relations.end());
      if (first.changes.empty())
        continue;
      first.relations = std::move(described);
      return first;
    }
    must(next_event(until));
  }
  throw std::runtime_error("no transaction came");
}

bool stream_reader::wait_for_idle(lsn wanted) {
  for (const auto until = in(10s); idle_ < wanted;) {
    if (std::chrono::steady_clock::now() >= until)
      return false;
    must(next_event(until));
  }
  return true;
}

} // namespace busbar::testing
