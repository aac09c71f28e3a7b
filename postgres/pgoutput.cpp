#include "postgres/pgoutput.hpp"

#include "postgres/pgoutput_state.hpp"

namespace busbar::postgres {

namespace {

// A Cap'n Proto list has at most 2^29 - 1 elements.
constexpr std::size_t rows_bytes_max = (std::size_t{1} << 29) - 1;

} // namespace

known_relation* pgoutput_decoder::state::find(std::uint32_t oid) {
  if (last_known != nullptr && oid == last_oid)
    return last_known;
  const auto found = known.find(oid);
  if (found == known.end())
    return nullptr;
  last_oid = oid;
  last_known = &found->second; // stays: unordered_map does not move its elements
  return last_known;
}

const char* pgoutput_decoder::state::begin(cursor& in) {
  if (open)
    return "begins a transaction inside another";
  transaction begun;
  begun.commit = in.u64();
  begun.micros = static_cast<std::int64_t>(in.u64());
  begun.xid = in.u32();
  begun.first_change = next_index();
  begun.begins = true;
  if (!in.complete())
    return "has a wrong length";
  transactions.push_back(begun);
  other_bytes += sizeof begun;
  next_position = 0;
  open = true;
  news = true;
  return nullptr;
}

const char* pgoutput_decoder::state::commit(cursor& in) {
  in.u8(); // flags, unused by PostgreSQL
  const auto commit_lsn = in.u64();
  const auto end_lsn = in.u64();
  in.u64(); // the time, which B has told already
  if (!in.complete())
    return "has a wrong length";
  if (!open)
    return "ends a transaction that has not begun";
  if (commit_lsn != transactions.back().commit)
    return "commits at another position than its transaction announced";
  if (end_lsn <= commit_lsn || end_lsn <= last_end)
    return "ends before what came before it";
  transactions.back().end = end_lsn;
  last_end = end_lsn;
  open = false;
  news = true;
  return nullptr;
}

const char* pgoutput_decoder::state::relation(cursor& in, std::string_view whole) {
  const auto oid = in.u32();
  in.text();
  in.text();
  const auto identity = in.u8();
  const auto columns = in.u16();
  for (std::uint16_t i = 0; i < columns && in.ok(); ++i) {
    in.u8();
    in.text();
    in.u32();
    in.u32();
  }
  if (!in.complete())
    return "has a wrong length";
  auto& seen = known[oid];
  const bool repeated = seen.described == whole; // after any cache invalidation
  relations.push_back({.oid = oid,
                       .xid = open ? transactions.back().xid : 0,
                       .message = std::string{whole},
                       .before_change = next_index(),
                       .news = !repeated,
                       .above = seen.above});
  if (repeated)
    return nullptr;
  seen.described = whole;
  seen.columns = columns;
  seen.identity_full = identity == 'f';
  other_bytes += 2 * whole.size();
  news = true;
  return nullptr;
}

/// `after` with the values that it leaves unchanged taken from `before`.
const char* pgoutput_decoder::state::append_filled(const tuple& after, const tuple* before,
                                                   bool& key_only) {
  rows.append(after.bytes.substr(0, 2));
  auto fresh = after.bytes.substr(2);
  auto old = before == nullptr ? std::string_view{} : before->bytes.substr(2);
  while (!fresh.empty()) {
    auto value = next_value(fresh);
    const auto old_value = old.empty() ? std::string_view{} : next_value(old);
    if (value[0] == 'u') {
      const bool filled = !old_value.empty() && old_value[0] == 't';
      if (!filled && !key_only)
        return "leaves a value unchanged that the old tuple does not have";
      value = filled ? old_value : std::string_view{"n"};
    }
    rows.append(value);
  }
  return nullptr;
}

const char* pgoutput_decoder::state::add(change what, const tuple* before, const tuple* after) {
  const std::size_t bytes = (before == nullptr ? 0 : before->bytes.size()) * 2 +
                            (after == nullptr ? 0 : after->bytes.size());
  if (bytes > rows_bytes_max - rows.size()) {
    // No frame can hold it. Without its images the change still tells the shapes of this table that
    // they cannot follow, and the stream goes on for all others.
    what.key_only = true;
    before = nullptr;
    after = nullptr;
  }
  if (before != nullptr) {
    what.old_at = static_cast<std::uint32_t>(rows.size());
    what.old_bytes = static_cast<std::uint32_t>(before->bytes.size());
    rows.append(before->bytes);
  }
  if (after != nullptr) {
    const auto at = rows.size();
    what.new_at = static_cast<std::uint32_t>(at);
    if (after->has_unchanged) {
      if (const char* problem = append_filled(*after, before, what.key_only))
        return problem;
    } else {
      rows.append(after->bytes);
    }
    what.new_bytes = static_cast<std::uint32_t>(rows.size() - at);
  }
  changes.push_back(what);
  next_position += 2;
  news = true;
  return nullptr;
}

const char* pgoutput_decoder::state::insert(cursor& in) {
  const auto oid = in.u32();
  const auto tag = in.u8();
  if (!in.ok() || tag != 'N')
    return "has no new tuple";
  const auto* table = find(oid);
  if (table == nullptr)
    return "names a relation that was not described";
  tuple after;
  if (const char* problem = read_tuple(in, table->columns, after))
    return problem;
  if (!in.complete())
    return "has a wrong length";
  if (after.has_unchanged)
    return "inserts an unchanged value";
  return add({.kind = schema::Change::Kind::INSERT, .relation = oid}, nullptr, &after);
}

const char* pgoutput_decoder::state::update(cursor& in) {
  const auto oid = in.u32();
  auto tag = in.u8();
  if (!in.ok())
    return "has a wrong length";
  const auto* table = find(oid);
  if (table == nullptr)
    return "names a relation that was not described";
  tuple before;
  const bool has_old = tag == 'O' || tag == 'K';
  change what{.kind = schema::Change::Kind::UPDATE, .relation = oid};
  // Without an old tuple the key did not change and the identity was not FULL.
  what.key_only = tag == 'K' || (!has_old && !table->identity_full);
  if (has_old) {
    if (const char* problem = read_tuple(in, table->columns, before))
      return problem;
    if (before.has_unchanged)
      return "has an unchanged value in its old tuple";
    tag = in.u8();
  }
  if (!in.ok() || tag != 'N')
    return "has no new tuple";
  tuple after;
  if (const char* problem = read_tuple(in, table->columns, after))
    return problem;
  if (!in.complete())
    return "has a wrong length";
  if (!has_old && table->identity_full && !after.has_unchanged)
    what.key_only = true;
  return add(what, has_old ? &before : nullptr, &after);
}

const char* pgoutput_decoder::state::remove(cursor& in) {
  const auto oid = in.u32();
  const auto tag = in.u8();
  if (!in.ok() || (tag != 'O' && tag != 'K'))
    return "has no old tuple";
  const auto* table = find(oid);
  if (table == nullptr)
    return "names a relation that was not described";
  tuple before;
  if (const char* problem = read_tuple(in, table->columns, before))
    return problem;
  if (!in.complete())
    return "has a wrong length";
  if (before.has_unchanged)
    return "has an unchanged value in its old tuple";
  return add({.kind = schema::Change::Kind::DELETE, .relation = oid, .key_only = tag == 'K'},
             &before, nullptr);
}

const char* pgoutput_decoder::state::truncate(cursor& in) {
  const auto count = in.u32();
  in.u8(); // CASCADE, RESTART IDENTITY
  if (!in.ok() || in.left().size() != std::size_t{count} * 4)
    return "has a wrong length";
  cursor check = in;
  for (std::uint32_t i = 0; i < count; ++i)
    if (find(check.u32()) == nullptr)
      return "names a relation that was not described";
  for (std::uint32_t i = 0; i < count; ++i)
    add({.kind = schema::Change::Kind::TRUNCATE, .relation = in.u32()}, nullptr, nullptr);
  return nullptr;
}

const char* pgoutput_decoder::state::message(cursor& in) {
  const bool transactional = (in.u8() & 1) != 0;
  in.u64(); // its LSN
  const auto prefix = in.text();
  const auto length = in.u32();
  const auto content = in.take(length);
  if (!in.complete())
    return "has a wrong length";
  if (!transactional)
    return nullptr; // arrives even if its transaction aborts
  if (!open)
    return "is transactional, but outside of a transaction";
  if (prefix != "busbar")
    return nullptr;
  messages.push_back(
      {std::string{content}, next_index(), static_cast<std::uint32_t>(transactions.size() - 1)});
  other_bytes += content.size() + sizeof(logical_message);
  news = true;
  return nullptr;
}

pgoutput_decoder::pgoutput_decoder(std::uint64_t term) : state_{std::make_unique<state>(term)} {}
pgoutput_decoder::~pgoutput_decoder() = default;

result<void> pgoutput_decoder::consume(std::string_view whole) {
  if (whole.empty())
    return fail(errc::corrupt, "pgoutput: an empty message");
  auto& s = *state_;
  const char tag = whole[0];
  cursor in{whole.substr(1)};
  const char* problem = nullptr;
  const bool is_change = tag == 'I' || tag == 'U' || tag == 'D' || tag == 'T';
  if (is_change && !s.open) {
    problem = "changes a table outside of a transaction";
  } else {
    switch (tag) {
    case 'I':
      problem = s.insert(in);
      break;
    case 'U':
      problem = s.update(in);
      break;
    case 'D':
      problem = s.remove(in);
      break;
    case 'T':
      problem = s.truncate(in);
      break;
    case 'B':
      problem = s.begin(in);
      break;
    case 'C':
      problem = s.commit(in);
      break;
    case 'R':
      problem = s.relation(in, whole);
      break;
    case 'M':
      problem = s.message(in);
      break;
    case 'Y': // a type's name
      in.u32();
      in.text();
      in.text();
      problem = in.complete() ? nullptr : "has a wrong length";
      break;
    case 'O': // where the transaction was first made
      in.u64();
      in.text();
      problem = in.complete() ? nullptr : "has a wrong length";
      break;
    default: // streamed and two-phase transactions were not asked for
      problem = "is of a kind that was not asked for";
      break;
    }
  }
  if (problem == nullptr)
    return {};
  const bool printable = tag > ' ' && tag < 127;
  return fail(
      errc::corrupt,
      "pgoutput: message '" +
          (printable ? std::string{tag} : "\\" + std::to_string(static_cast<unsigned char>(tag))) +
          "' " + problem);
}

std::vector<pgoutput_decoder::description> pgoutput_decoder::described() const {
  std::vector<description> all;
  for (const auto& relation : state_->relations)
    all.push_back({relation.oid, relation.xid});
  return all;
}

void pgoutput_decoder::place(std::uint32_t oid, const std::vector<partition_ancestor>& above) {
  auto& s = *state_;
  const auto known = s.known.find(oid);
  if (known == s.known.end() || known->second.above == above)
    return;
  for (auto& relation : s.relations) {
    if (relation.oid != oid)
      continue;
    relation.above = above;
    relation.news = true;
    s.news = true;
  }
  known->second.above = above;
}

void pgoutput_decoder::tell(catalog_facts facts) {
  auto& s = *state_;
  s.news |= !facts.tables.empty();
  s.facts = std::move(facts);
}

std::size_t pgoutput_decoder::pending_bytes() const noexcept {
  const auto& s = *state_;
  return s.news ? s.rows.size() + s.changes.size() * change_bytes + s.other_bytes : 0;
}

bool pgoutput_decoder::in_transaction() const noexcept {
  return state_->open;
}

lsn pgoutput_decoder::last_end() const noexcept {
  return lsn{state_->last_end};
}

} // namespace busbar::postgres
