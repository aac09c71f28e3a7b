#include "shapes/entry.hpp"

#include "base/json_text.hpp"

#include <algorithm>
#include <charconv>

namespace busbar {

namespace {

void append_doubling(std::string& out, std::string_view text, std::string_view doubled) {
  if (text.find_first_of(doubled) == std::string_view::npos) {
    out += text; // nearly always
    return;
  }
  for (const char c : text) {
    out.push_back(c);
    if (doubled.find(c) != std::string_view::npos)
      out.push_back(c);
  }
}

void append_number(std::string& out, std::uint64_t x) {
  char digits[20];
  const auto end = std::to_chars(digits, digits + sizeof digits, x).ptr;
  out.append(digits, end);
}

void append_cell(std::string& out, const sql::cell& cell) {
  if (cell)
    append_json_string(out, *cell);
  else
    out += "null";
}

} // namespace

entry_encoder::entry_encoder(const table_info& table, std::vector<std::uint16_t> selected,
                             bool replica_full)
    : selected_{std::move(selected)}, key_{key_columns(table)},
      is_key_(table.columns.size(), false), replica_full_{replica_full} {
  for (const auto index : key_) {
    is_key_[index] = true;
    const auto at = std::find(selected_.begin(), selected_.end(), index);
    key_in_snapshot_.push_back(static_cast<std::uint16_t>(at - selected_.begin()));
  }
  for (const auto& column : table.columns)
    member_.push_back(json_string(column.name) + ':');
  key_prefix_ = "\"";
  append_doubling(key_prefix_, table.schema, "/.");
  key_prefix_ += "\".\"";
  append_doubling(key_prefix_, table.name, "/.");
  key_prefix_ += '"';
  relation_ = "\"relation\":[" + json_string(table.schema) + ',' + json_string(table.name) + ']';
}

void entry_encoder::append_key(std::string& out, row_cells cells) const {
  out += key_prefix_;
  for (const auto index : key_) {
    const auto& cell = cells[index];
    if (!cell) {
      out += "/_";
      continue;
    }
    out += "/\"";
    append_doubling(out, *cell, "/");
    out += '"';
  }
}

void entry_encoder::append_value(std::string& out, row_cells cells) const {
  char separator = '{';
  for (const auto index : selected_) {
    out.push_back(separator);
    separator = ',';
    out += member_[index];
    append_cell(out, cells[index]);
  }
  out.push_back('}');
}

void entry_encoder::append_key_columns(std::string& out, row_cells cells) const {
  char separator = '{';
  for (const auto index : key_) {
    out.push_back(separator);
    separator = ',';
    out += member_[index];
    append_cell(out, cells[index]);
  }
  out.push_back('}');
}

void entry_encoder::append_snapshot_row(std::string& out, row_cells cells,
                                        std::string_view more_headers) {
  scratch_.clear();
  scratch_ += key_prefix_;
  for (const auto at : key_in_snapshot_) {
    const auto& cell = cells[at];
    if (!cell) {
      scratch_ += "/_";
      continue;
    }
    scratch_ += "/\"";
    append_doubling(scratch_, *cell, "/");
    scratch_ += '"';
  }
  out += "{\"key\":";
  append_json_string(out, scratch_);
  out += ",\"value\":";
  char separator = '{';
  for (std::size_t i = 0; i < selected_.size(); ++i) {
    out.push_back(separator);
    separator = ',';
    out += member_[selected_[i]];
    append_cell(out, cells[i]);
  }
  out += "},\"headers\":{\"operation\":\"insert\",";
  out += relation_;
  out += more_headers;
  out += "}}";
}

void entry_encoder::finish(encoded_entry& entry, std::string_view operation,
                           const change_position& at, std::string_view extra_name,
                           std::string_view extra_key, std::string_view more_headers) const {
  auto& out = entry.json;
  entry.op = at.op;
  out += ",\"headers\":{";
  entry.last_at = out.size();
  out += "\"operation\":\"";
  out += operation;
  out += "\",";
  out += relation_;
  out += ",\"lsn\":\"";
  append_number(out, at.commit_lsn);
  out += "\",\"op_position\":";
  append_number(out, static_cast<std::uint64_t>(at.op));
  out += ",\"txids\":[";
  append_number(out, at.xid);
  out += ']';
  if (!extra_name.empty()) {
    out += ",\"";
    out += extra_name;
    out += "\":";
    append_json_string(out, extra_key);
  }
  out += more_headers;
  out += "}}";
}

void entry_encoder::encode(row_effect effect, row_cells old_row, row_cells new_row,
                           const change_position& at, std::vector<encoded_entry>& out,
                           const extra_headers& extra) {
  const auto begin = [&out](std::string_view key) -> encoded_entry& {
    auto& entry = out.emplace_back();
    entry.json = "{\"key\":";
    append_json_string(entry.json, key);
    entry.json += ",\"value\":";
    return entry;
  };
  const auto append_removed = [this](std::string& json, row_cells cells) {
    if (replica_full_)
      append_value(json, cells);
    else
      append_key_columns(json, cells);
  };

  switch (effect) {
  case row_effect::none:
    return;
  case row_effect::insert: {
    new_key_.clear();
    append_key(new_key_, new_row);
    auto& entry = begin(new_key_);
    append_value(entry.json, new_row);
    finish(entry, "insert", at, {}, {}, extra.after);
    return;
  }
  case row_effect::remove: {
    old_key_.clear();
    append_key(old_key_, old_row);
    auto& entry = begin(old_key_);
    append_removed(entry.json, old_row);
    finish(entry, "delete", at, {}, {}, extra.before);
    return;
  }
  case row_effect::update:
    break;
  }

  old_key_.clear();
  new_key_.clear();
  append_key(old_key_, old_row);
  append_key(new_key_, new_row);
  const bool moves = old_key_ != new_key_;
  if (moves || extra.in_two_steps) {
    auto& removed = begin(old_key_);
    append_removed(removed.json, old_row);
    finish(removed, "delete", at, moves ? "key_change_to" : std::string_view{}, new_key_,
           extra.before);
    auto& added = begin(new_key_);
    append_value(added.json, new_row);
    auto after = at;
    ++after.op;
    finish(added, "insert", after, moves ? "key_change_from" : std::string_view{}, old_key_,
           extra.after);
    return;
  }
  const auto changed = [&](std::uint16_t index) { return old_row[index] != new_row[index]; };
  if (!extra.matters && std::none_of(selected_.begin(), selected_.end(), changed))
    return; // nothing that this shape shows has changed
  auto& entry = begin(new_key_);
  if (replica_full_) {
    append_value(entry.json, new_row);
    entry.json += ",\"old_value\":";
    char separator = '{';
    for (const auto index : selected_) {
      if (!changed(index))
        continue;
      entry.json.push_back(separator);
      separator = ',';
      entry.json += member_[index];
      append_cell(entry.json, old_row[index]);
    }
    if (separator == '{') // only its tags have changed
      entry.json.push_back('{');
    entry.json.push_back('}');
  } else {
    char separator = '{';
    for (const auto index : selected_) {
      if (!is_key_[index] && !changed(index))
        continue;
      entry.json.push_back(separator);
      separator = ',';
      entry.json += member_[index];
      append_cell(entry.json, new_row[index]);
    }
    entry.json.push_back('}');
  }
  finish(entry, "update", at, {}, {}, extra.update);
}

std::string snapshot_end_json(std::uint64_t xmin, std::uint64_t xmax,
                              std::span<const std::uint64_t> xip) {
  std::string out = "{\"headers\":{\"control\":\"snapshot-end\",\"xmin\":\"" +
                    std::to_string(xmin) + "\",\"xmax\":\"" + std::to_string(xmax) +
                    "\",\"xip_list\":[";
  for (std::size_t i = 0; i < xip.size(); ++i) {
    if (i > 0)
      out += ',';
    out += '"' + std::to_string(xip[i]) + '"';
  }
  return out + "]}}";
}

} // namespace busbar
