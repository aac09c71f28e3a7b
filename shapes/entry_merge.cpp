#include "shapes/entry_merge.hpp"

#include "shapes/entry.hpp"
#include "shapes/entry_block.hpp"

#include <optional>
#include <string_view>
#include <unordered_map>
#include <utility>

namespace busbar {

namespace {

// -- reading entries as entry.cpp writes them -----------------------------------------------------

constexpr std::string_view key_begin = "{\"key\":";
constexpr std::string_view value_begin = ",\"value\":";
constexpr std::string_view old_value_begin = ",\"old_value\":";
constexpr std::string_view headers_begin = ",\"headers\":{";
constexpr std::string_view update_begin = "\"operation\":\"update\",";

/// Takes an entry apart, from left to right.
class entry_scanner {
public:
  explicit entry_scanner(std::string_view text) : rest_{text} {}

  bool skip(std::string_view word) {
    if (!rest_.starts_with(word))
      return false;
    rest_.remove_prefix(word.size());
    return true;
  }
  /// A JSON string with its quotes.
  std::optional<std::string_view> string() {
    if (!rest_.starts_with('"'))
      return std::nullopt;
    for (auto at = rest_.find_first_of("\"\\", 1); at != std::string_view::npos;
         at = rest_.find_first_of("\"\\", at)) {
      if (rest_[at] == '"')
        return take(at + 1);
      at += 2;
    }
    return std::nullopt;
  }
  /// An object whose members are strings or null; `visit` gets each name and value, as they stand.
  template <class Visit>
  std::optional<std::string_view> object(Visit&& visit) {
    const auto begin = rest_;
    if (!skip("{"))
      return std::nullopt;
    for (bool first = true; !skip("}"); first = false) {
      if (!first && !skip(","))
        return std::nullopt;
      const auto name = string();
      if (!name || !skip(":"))
        return std::nullopt;
      const auto value = rest_.starts_with("null") ? std::optional{take(4)} : string();
      if (!value)
        return std::nullopt;
      visit(*name, *value);
    }
    return begin.substr(0, begin.size() - rest_.size());
  }
  std::string_view rest() const noexcept { return rest_; }

private:
  std::string_view take(std::size_t n) {
    const auto taken = rest_.substr(0, n);
    rest_.remove_prefix(n);
    return taken;
  }
  std::string_view rest_;
};

struct entry_parts {
  std::string_view key;
  std::string_view value;
  std::string_view old_value; ///< Empty if there is none.
  std::string_view headers;   ///< What follows the brace and the mark of the last entry.
  bool is_update = false;
  bool is_last = false;
};

std::optional<entry_parts> take_apart(std::string_view entry) {
  entry_scanner scan{entry};
  entry_parts parts;
  const auto ignore = [](std::string_view, std::string_view) {};
  if (!scan.skip(key_begin))
    return std::nullopt;
  const auto key = scan.string();
  if (!key || !scan.skip(value_begin))
    return std::nullopt;
  const auto value = scan.object(ignore);
  if (!value)
    return std::nullopt;
  parts.key = *key;
  parts.value = *value;
  if (scan.skip(old_value_begin)) {
    const auto old_value = scan.object(ignore);
    if (!old_value)
      return std::nullopt;
    parts.old_value = *old_value;
  }
  if (!scan.skip(headers_begin))
    return std::nullopt;
  parts.is_last = scan.skip(last_header);
  parts.headers = scan.rest();
  parts.is_update = parts.headers.starts_with(update_begin);
  return parts;
}

/// The members of several objects as one, each name once.
class member_list {
public:
  /// Of two values with one name the first to come stays.
  void add_missing(std::string_view object) {
    entry_scanner{object}.object([this](std::string_view name, std::string_view value) {
      if (places_.emplace(name, members_.size()).second)
        members_.emplace_back(name, value);
    });
  }
  /// The last to come does.
  void replace(std::string_view object) {
    entry_scanner{object}.object([this](std::string_view name, std::string_view value) {
      const auto [place, is_new] = places_.emplace(name, members_.size());
      if (is_new)
        members_.emplace_back(name, value);
      else
        members_[place->second].second = value;
    });
  }
  void append_to(std::string& out) const {
    char separator = '{';
    for (const auto& [name, value] : members_) {
      out.push_back(separator);
      separator = ',';
      out += name;
      out += ':';
      out += value;
    }
    if (members_.empty())
      out.push_back('{');
    out.push_back('}');
  }

private:
  std::vector<std::pair<std::string_view, std::string_view>> members_;
  std::unordered_map<std::string_view, std::size_t> places_;
};

// -- the stretch ----------------------------------------------------------------------------------

constexpr std::uint32_t none = ~std::uint32_t{0};

struct noted_entry {
  std::string_view text;
  entry_parts parts;
  std::int64_t op = 0;
  bool is_kept = true;
  bool has_mark = false;        ///< It is its transaction's last one from now on.
  std::uint32_t earlier = none; ///< The update of its key before it, if only updates lie between.
};

class stretch {
public:
  result<void> read(log_offset after, std::span<const stored_block> blocks) {
    for (std::size_t b = 0; b < blocks.size(); ++b) {
      const auto& stored = blocks[b];
      const auto tx = stored.last.tx;
      const bool goes_on = tx == (b == 0 ? after : blocks[b - 1].last).tx;
      const bool is_cut = b + 1 < blocks.size() && tx == blocks[b + 1].last.tx;
      const auto view = block_view::open(stored.bytes);
      if (!view)
        return fail(error{view.error()});
      begins_.push_back(static_cast<std::uint32_t>(entries_.size()));
      for (std::uint32_t i = 0; i < view->count(); ++i) {
        auto parts = take_apart(view->entry(i));
        if (!parts)
          return fail(errc::corrupt, "an entry of a shape log is not one that we write");
        // A reader may be where a chunk ended once, and that in the middle of a transaction: behind
        // it there must be the transaction's mark, and in front of it something by which this is
        // noticed the next time.
        const bool stays = (parts->is_last && goes_on) ||
                           (is_cut && view->chunk_bytes_after() == 0 && i + 1 == view->count());
        add({view->entry(i), *parts, view->op(i), true, parts->is_last}, stays);
      }
      chunk_bytes_after_.push_back(view->chunk_bytes_after());
    }
    begins_.push_back(static_cast<std::uint32_t>(entries_.size()));
    return {};
  }

  /// Drops the updates that later ones stand for, and gives away their marks.
  void merge(std::span<const stored_block> blocks) {
    for (const auto& entry : entries_)
      if (entry.earlier != none && !pinned_[entry.earlier])
        entries_[entry.earlier].is_kept = false;
    for (std::size_t b = 0; b < blocks.size(); ++b) {
      std::uint32_t last_kept = none;
      for (auto i = begins_[b]; i < begins_[b + 1]; ++i) {
        if (entries_[i].is_kept)
          last_kept = i;
        else if (std::exchange(entries_[i].has_mark, false) && last_kept != none)
          entries_[last_kept].has_mark = true;
      }
    }
  }

  merged_stretch build(std::span<const stored_block> blocks) const {
    merged_stretch done;
    block_builder builder;
    for (std::size_t b = 0; b < blocks.size(); ++b) {
      bool is_changed = false;
      std::uint64_t bytes = 0;
      for (auto i = begins_[b]; i < begins_[b + 1]; ++i) {
        is_changed |= !stays_as_it_is(entries_[i]);
        bytes += entries_[i].text.size();
      }
      if (!is_changed) {
        done.entry_bytes += bytes;
        continue;
      }
      builder.clear();
      for (auto i = begins_[b]; i < begins_[b + 1]; ++i)
        if (entries_[i].is_kept) {
          append_to(builder.begin_entry(), entries_[i]);
          done.entry_bytes += builder.end_entry(entries_[i].op);
        }
      auto& changed = done.changed.emplace_back(
          merged_stretch::block{blocks[b].last, blocks[b].last, std::string{}});
      if (!builder.empty()) {
        changed.last.op = builder.last_op();
        changed.bytes = builder.finish(chunk_bytes_after_[b]);
      }
      if (blocks[b].bytes.size() > changed.bytes.size())
        done.saved_bytes += blocks[b].bytes.size() - changed.bytes.size();
    }
    return done;
  }

private:
  void add(noted_entry entry, bool stays) {
    const auto number = static_cast<std::uint32_t>(entries_.size());
    if (entry.parts.is_update) {
      const auto [latest, is_first] = latest_.emplace(entry.parts.key, number);
      if (!is_first)
        entry.earlier = std::exchange(latest->second, number);
    } else {
      latest_.erase(entry.parts.key);
    }
    entries_.push_back(std::move(entry));
    pinned_.push_back(stays);
  }

  bool has_merged(const noted_entry& entry) const {
    return entry.earlier != none && !entries_[entry.earlier].is_kept;
  }
  bool stays_as_it_is(const noted_entry& entry) const {
    return entry.is_kept && entry.has_mark == entry.parts.is_last && !has_merged(entry);
  }

  void append_to(std::string& out, const noted_entry& entry) const {
    out += key_begin;
    out += entry.parts.key;
    out += value_begin;
    if (!has_merged(entry)) {
      out += entry.parts.value;
      if (!entry.parts.old_value.empty()) {
        out += old_value_begin;
        out += entry.parts.old_value;
      }
    } else {
      member_list value;
      member_list old_value;
      bool has_old = !entry.parts.old_value.empty();
      value.add_missing(entry.parts.value);
      old_value.replace(entry.parts.old_value);
      for (auto i = entry.earlier; i != none && !entries_[i].is_kept; i = entries_[i].earlier) {
        value.add_missing(entries_[i].parts.value);
        old_value.replace(entries_[i].parts.old_value);
        has_old |= !entries_[i].parts.old_value.empty();
      }
      value.append_to(out);
      if (has_old) {
        out += old_value_begin;
        old_value.append_to(out);
      }
    }
    out += headers_begin;
    if (entry.has_mark)
      out += last_header;
    out += entry.parts.headers;
  }

  std::vector<noted_entry> entries_;
  std::vector<bool> pinned_;
  std::vector<std::uint32_t> begins_; ///< Of each block; and the number of entries.
  std::vector<std::uint64_t> chunk_bytes_after_;
  std::unordered_map<std::string_view, std::uint32_t> latest_; ///< By key, what may be merged.
};

} // namespace

result<merged_stretch> merge_updates(log_offset after, std::span<const stored_block> blocks) {
  stretch all;
  if (auto done = all.read(after, blocks); !done)
    return fail(std::move(done).error());
  all.merge(blocks);
  return all.build(blocks);
}

} // namespace busbar
