// postgres/pgoutput_state.hpp: what a decoder gathers (pgoutput.cpp) until a frame is built of it
// (pgoutput_frame.cpp). Private to postgres/.
#pragma once

#include "postgres/pgoutput.hpp"
#include "postgres/pgoutput_wire.hpp"

#include <kj/array.h>

#include <string>
#include <unordered_map>
#include <vector>

namespace busbar::postgres {

// What a change costs in the finished frame beside its images.
inline constexpr std::size_t change_bytes = 24;
struct known_relation {
  std::string described; ///< The R message, to recognise its repetition.
  std::uint16_t columns = 0;
  bool identity_full = false;
  std::vector<partition_ancestor> above;
};

struct transaction {
  std::uint64_t commit = 0;
  std::uint64_t end = 0;
  std::int64_t micros = 0;
  std::uint32_t xid = 0;
  std::uint32_t first_change = 0;
  std::uint64_t first_position = 0;
  bool begins = false;
};

struct change {
  schema::Change::Kind kind = schema::Change::Kind::INSERT;
  std::uint32_t relation = 0;
  std::uint32_t old_at = 0;
  std::uint32_t old_bytes = 0;
  std::uint32_t new_at = 0;
  std::uint32_t new_bytes = 0;
  bool key_only = false;
};

/// A message that is kept as it came until take().
struct described_relation {
  std::uint32_t oid = 0;
  std::uint32_t xid = 0; ///< Of its transaction.
  std::string message;
  std::uint32_t before_change = 0;
  bool news = true; ///< False for a repetition, until its place turns out to be another.
  std::vector<partition_ancestor> above;
};

struct logical_message {
  std::string content;
  std::uint32_t before_change = 0;
  std::uint32_t transaction = 0;
};

struct pgoutput_decoder::state {
  explicit state(std::uint64_t t) : term{t} {}

  const char* begin(cursor& in);
  const char* commit(cursor& in);
  const char* relation(cursor& in, std::string_view whole);
  const char* insert(cursor& in);
  const char* update(cursor& in);
  const char* remove(cursor& in);
  const char* truncate(cursor& in);
  const char* message(cursor& in);
  const char* add(change what, const tuple* before, const tuple* after);
  const char* append_filled(const tuple& after, const tuple* before, bool& key_only);
  known_relation* find(std::uint32_t oid);
  std::size_t words_needed() const;
  void fill(schema::Frame::Builder root) const;
  void clear();
  std::uint32_t next_index() const { return static_cast<std::uint32_t>(changes.size()); }

  const std::uint64_t term;
  std::string rows;
  std::vector<change> changes;
  std::vector<transaction> transactions; ///< The last one is open if `open`.
  std::vector<described_relation> relations;
  std::vector<logical_message> messages;
  catalog_facts facts;
  std::size_t other_bytes = 0; ///< Of relations, messages and transactions.

  std::unordered_map<std::uint32_t, known_relation> known;
  std::uint32_t last_oid = 0; ///< A change is mostly of the same table as the one before.
  known_relation* last_known = nullptr;

  kj::Array<capnp::word> scratch; ///< Zeroed; what a frame is built in.

  bool open = false;
  bool news = false; ///< take() has something to give.
  std::uint64_t next_position = 0;
  std::uint64_t last_end = 0;
};

} // namespace busbar::postgres
