#include "shapes/row_judge.hpp"

#include "base/bytes.hpp"

#include <algorithm>

namespace busbar {

namespace {

void append_list(std::string& out, const std::vector<std::string>& tags) {
  out.push_back('[');
  for (std::size_t i = 0; i < tags.size(); ++i) {
    out += i == 0 ? "\"" : ",\"";
    out += tags[i]; // hexadecimal digits and slashes
    out.push_back('"');
  }
  out.push_back(']');
}

bool has(const std::vector<std::string>& tags, const std::string& tag) {
  return std::find(tags.begin(), tags.end(), tag) != tags.end();
}

} // namespace

value_hasher::reading value_hasher::read(const std::vector<sql::key_form>& forms, row_cells row,
                                         digest& out) {
  constexpr std::size_t known_max =
      16; // column lists of one table; to look through more costs more
  for (std::size_t i = 0; i < known_count_; ++i)
    if (const auto& one = known_[i]; one.row == row.data() && one.forms == forms) {
      out = one.value;
      return one.outcome;
    }
  const auto outcome = read_anew(forms, row, out);
  if (known_count_ == known_max)
    return outcome;
  if (known_count_ == known_.size())
    known_.emplace_back();
  auto& one = known_[known_count_++];
  one.row = row.data();
  one.forms = forms;
  one.outcome = outcome;
  one.value = out;
  return outcome;
}

value_hasher::reading value_hasher::read_anew(const std::vector<sql::key_form>& forms,
                                              row_cells row, digest& out) {
  key_.clear();
  for (const auto& form : forms) {
    const auto& cell = row[form.column];
    if (!cell)
      return reading::null;
    part_.clear();
    if (!sql::append_key(form, *cell, part_))
      return reading::unreadable;
    if (forms.size() > 1) // or ('a', 'bc') would be ('ab', 'c')
      append_be32(key_, static_cast<std::uint32_t>(part_.size()));
    key_ += part_;
  }
  out = hash_(key_);
  return reading::value;
}

void row_tagger::append_tag(std::string& out, const judged_row& row, std::size_t disjunct) const {
  const std::size_t begin = disjunct == 0 ? 0 : plan_->disjunct_ends[disjunct - 1];
  const std::size_t end = plan_->disjunct_ends[disjunct];
  for (std::size_t i = 0; i < plan_->positions.size(); ++i) {
    if (i > 0)
      out.push_back('/');
    if (i < begin || i >= end)
      continue;
    if (plan_->positions[i].leaf)
      out.push_back('1');
    else if (row.values[i])
      append_value(out, *row.values[i]);
    else
      append_hex(out, hash_("NULL"));
  }
}

std::vector<std::string> row_tagger::tags(const judged_row& row) const {
  std::vector<std::string> all(plan_->disjunct_ends.size());
  for (std::size_t i = 0; i < all.size(); ++i)
    append_tag(all[i], row, i);
  return all;
}

void row_tagger::append_conditions(std::string& out, const judged_row& row) const {
  out += ",\"active_conditions\":";
  char separator = '[';
  for (const bool holds : row.holds) {
    out.push_back(separator);
    separator = ',';
    out += holds ? "true" : "false";
  }
  out.push_back(']');
}

void row_tagger::append_headers(std::string& out, const judged_row& row) const {
  out += ",\"tags\":";
  append_list(out, tags(row));
  append_conditions(out, row);
}

void row_tagger::append_update_headers(std::string& out, const judged_row& before,
                                       const judged_row& after) const {
  const auto now = tags(after);
  auto removed = tags(before);
  std::erase_if(removed, [&](const std::string& tag) { return has(now, tag); });
  out += ",\"tags\":";
  append_list(out, now);
  out += ",\"removed_tags\":";
  append_list(out, removed);
  append_conditions(out, after);
}

bool row_tagger::shares_value(const judged_row& before, const judged_row& after) const {
  std::size_t begin = 0;
  for (const auto end : plan_->disjunct_ends) {
    bool kept = false;
    bool changed = false;
    for (auto i = begin; i < end; ++i) {
      if (plan_->positions[i].leaf)
        continue;
      (before.values[i] == after.values[i] ? kept : changed) = true;
    }
    if (kept && changed)
      return true;
    begin = end;
  }
  return false;
}

} // namespace busbar
