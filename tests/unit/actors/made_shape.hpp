// tests/unit/actors/made_shape.hpp: shapes on the table of the transcripts, and their logs as text.
#pragma once

#include "actors/shape_state.hpp"
#include "shapes/entry_block.hpp"
#include "storage/store.hpp"
#include "tests/unit/shapes/tables.hpp"

#include <gtest/gtest.h>

#include <memory>
#include <string>
#include <vector>

namespace busbar::testing {

inline shape_ptr made_shape(std::uint64_t id, const shape_request& request = {},
                            const std::shared_ptr<const table_info>& on = items()) {
  auto definition = define_shape(request, on);
  EXPECT_TRUE(definition) << definition.error().message;
  return std::make_shared<shape_state>(storage::shape_id{id}, "handle-" + std::to_string(id),
                                       std::move(*definition));
}

inline shape_request where(std::string clause) {
  shape_request r;
  r.where = std::move(clause);
  return r;
}
inline shape_request only_columns(std::vector<std::string> columns) {
  shape_request r;
  r.columns = std::move(columns);
  return r;
}

/// All entries in (after, upto].
inline std::vector<std::string> entries_of(const storage::store& store, storage::shape_id shape,
                                           log_offset after, log_offset upto) {
  std::vector<std::string> entries;
  const auto done =
      store.read_log(shape, after, upto, [&](log_offset last, std::string_view bytes) {
        const auto block = block_view::open(bytes);
        EXPECT_TRUE(block);
        if (!block)
          return false;
        for (auto i = last.tx == after.tx ? block->first_after(after.op) : 0; i < block->count();
             ++i)
          entries.emplace_back(block->entry(i));
        return true;
      });
  EXPECT_TRUE(done);
  return entries;
}

/// The text between `before` and `after` it; empty if there is none.
inline std::string between(const std::string& text, const std::string& before, char after) {
  const auto at = text.find(before);
  if (at == std::string::npos)
    return {};
  const auto from = at + before.size();
  return text.substr(from, text.find(after, from) - from);
}

/// An entry in short: `200_4 update 7 last`: offset, operation, "id", and whether it carries the
/// mark.
inline std::string in_short(const std::string& entry) {
  return between(entry, "\"lsn\":\"", '"') + '_' + between(entry, "\"op_position\":", ',') + ' ' +
         between(entry, "\"operation\":\"", '"') + ' ' + between(entry, "\"id\":\"", '"') +
         (entry.find("\"last\":true") == std::string::npos ? "" : " last");
}

/// What a reader sees of the shape's log, in short.
inline std::vector<std::string> visible_log(const storage::store& store, const shape_state& shape) {
  auto entries = entries_of(store, shape.id(), log_offset::snapshot_end(), shape.progress().head);
  for (auto& entry : entries)
    entry = in_short(entry);
  return entries;
}

} // namespace busbar::testing
