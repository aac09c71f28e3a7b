// tests/unit/postgres/pgoutput_bytes.hpp: builds pgoutput's messages by hand, as the PostgreSQL
// documentation ("Logical Replication Message Formats") lays them out.
#pragma once

#include "base/bytes.hpp"

#include <optional>
#include <string>
#include <vector>

namespace busbar::testing {

/// A value of a tuple; nullopt is NULL, the text "<unchanged>" an unchanged TOAST value.
using value = std::optional<std::string>;
inline const value unchanged{"<unchanged>"};

inline std::string zero_ended(const std::string& text) {
  return text + '\0';
}

inline std::string begin_message(std::uint64_t final_lsn, std::uint32_t xid,
                                 std::uint64_t micros = 77) {
  std::string out{"B"};
  append_be64(out, final_lsn);
  append_be64(out, micros);
  append_be32(out, xid);
  return out;
}

inline std::string commit_message(std::uint64_t commit, std::uint64_t end) {
  std::string out{"C"};
  out.push_back('\0');
  append_be64(out, commit);
  append_be64(out, end);
  append_be64(out, 77);
  return out;
}

inline std::string relation_message(std::uint32_t oid, const std::string& schema,
                                    const std::string& name,
                                    const std::vector<std::string>& columns, char identity = 'f') {
  std::string out{"R"};
  append_be32(out, oid);
  out += zero_ended(schema) + zero_ended(name);
  out.push_back(identity);
  append_be16(out, static_cast<std::uint16_t>(columns.size()));
  for (const auto& column : columns) {
    out.push_back('\1');
    out += zero_ended(column);
    append_be32(out, 25);
    append_be32(out, 0xffffffffu);
  }
  return out;
}

inline std::string tuple_bytes(const std::vector<value>& values) {
  std::string out;
  append_be16(out, static_cast<std::uint16_t>(values.size()));
  for (const auto& each : values) {
    if (!each) {
      out.push_back('n');
    } else if (each == unchanged) {
      out.push_back('u');
    } else {
      out.push_back('t');
      append_be32(out, static_cast<std::uint32_t>(each->size()));
      out += *each;
    }
  }
  return out;
}

inline std::string insert_message(std::uint32_t oid, const std::vector<value>& after) {
  std::string out{"I"};
  append_be32(out, oid);
  return out + 'N' + tuple_bytes(after);
}

/// `old_tag` 'O' or 'K', or 0 for an update without an old tuple.
inline std::string update_message(std::uint32_t oid, char old_tag, const std::vector<value>& before,
                                  const std::vector<value>& after) {
  std::string out{"U"};
  append_be32(out, oid);
  if (old_tag != 0)
    out += old_tag + tuple_bytes(before);
  return out + 'N' + tuple_bytes(after);
}

inline std::string delete_message(std::uint32_t oid, char old_tag,
                                  const std::vector<value>& before) {
  std::string out{"D"};
  append_be32(out, oid);
  return out + old_tag + tuple_bytes(before);
}

inline std::string truncate_message(const std::vector<std::uint32_t>& oids) {
  std::string out{"T"};
  append_be32(out, static_cast<std::uint32_t>(oids.size()));
  out.push_back('\0');
  for (const auto oid : oids)
    append_be32(out, oid);
  return out;
}

inline std::string logical_message(bool transactional, const std::string& prefix,
                                   const std::string& content) {
  std::string out{"M"};
  out.push_back(transactional ? '\1' : '\0');
  append_be64(out, 4711);
  out += zero_ended(prefix);
  append_be32(out, static_cast<std::uint32_t>(content.size()));
  return out + content;
}

} // namespace busbar::testing
