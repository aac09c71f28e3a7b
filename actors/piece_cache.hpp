// actors/piece_cache.hpp: framed pieces of logs that several readers want, kept while there is
// room.
#pragma once

#include "actors/reader.hpp"
#include "storage/keys.hpp"

#include <array>
#include <cstddef>
#include <list>
#include <mutex>
#include <optional>
#include <string>
#include <unordered_map>
#include <utility>

namespace busbar {

/// Least recently used goes first. Nothing is ever invalidated: the pieces of a removed shape, or
/// of a log as it was before compaction, are just not asked for any more. Any thread.
class piece_cache {
public:
  explicit piece_cache(std::size_t bytes_max) : bytes_max_{bytes_max} {}

  /// Names a piece: what a reader has, where it wants to get, the number of the piece in a snapshot
  /// chunk, and how often the place where it begins has been compacted.
  struct key {
    storage::shape_id shape{};
    log_offset after;
    log_offset upto;
    std::uint32_t piece = 0;
    framing form = framing::json_elements;
    coding in = coding::identity;
    std::uint64_t compacted = 0;
    friend bool operator==(const key&, const key&) = default;
  };
  struct value {
    body_piece body;
    log_offset end;    ///< Where the reader is after it.
    bool last = false; ///< Nothing of the slice follows.
  };

  std::optional<value> find(const key& k) {
    const std::lock_guard guard{mutex_};
    const auto found = by_key_.find(k);
    if (found == by_key_.end())
      return std::nullopt;
    by_use_.splice(by_use_.begin(), by_use_, found->second);
    return found->second->second;
  }

  /// What `load` gives (a result<value>) is kept. Threads that want the same piece at once wait for
  /// the first of them: a piece is made once. A small one, which costs little to read and less than
  /// its entry here, is kept only if it was asked for lately: most shapes' first piece never is
  /// again.
  template <class Load>
  result<value> find_or(const key& k, Load&& load) {
    if (auto found = find(k))
      return *std::move(found);
    const std::lock_guard guard{loading_[hash{}(k) % loading_.size()]};
    if (auto found = find(k))
      return *std::move(found);
    result<value> loaded = load();
    if (loaded && earns_place(k, *loaded))
      add(k, *loaded);
    return loaded;
  }

  void add(const key& k, const value& v) {
    const auto size = v.body.bytes->size() + overhead_bytes;
    if (size > bytes_max_)
      return;
    const std::lock_guard guard{mutex_};
    if (by_key_.contains(k))
      return;
    by_use_.emplace_front(k, v);
    by_key_.emplace(k, by_use_.begin());
    bytes_ += size;
    while (bytes_ > bytes_max_) {
      const auto& oldest = by_use_.back();
      bytes_ -= oldest.second.body.bytes->size() + overhead_bytes;
      by_key_.erase(oldest.first);
      by_use_.pop_back();
    }
  }

private:
  static constexpr std::size_t overhead_bytes = 256;
  static constexpr std::size_t small_bytes_max = 512;

  bool earns_place(const key& k, const value& v) {
    if (v.body.in != coding::identity || v.body.bytes->size() > small_bytes_max)
      return true;
    const auto name = hash{}(k);
    const std::lock_guard guard{mutex_};
    return std::exchange(lately_[name % lately_.size()], name) == name;
  }

  struct hash {
    std::size_t operator()(const key& k) const noexcept {
      std::uint64_t h = storage::to_number(k.shape);
      for (const std::uint64_t part :
           {k.after.tx, static_cast<std::uint64_t>(k.after.op), k.upto.tx,
            static_cast<std::uint64_t>(k.upto.op), k.compacted,
            std::uint64_t{k.piece} * 8 + static_cast<std::uint64_t>(k.form) * 4 +
                static_cast<std::uint64_t>(k.in)})
        h = (h ^ part) * 0x9e3779b97f4a7c15u ^ (h >> 29);
      return static_cast<std::size_t>(h);
    }
  };
  using entry_list = std::list<std::pair<key, value>>;

  std::mutex mutex_;
  std::array<std::mutex, 64> loading_; ///< By the key's hash.
  std::size_t bytes_max_;
  std::size_t bytes_ = 0;
  entry_list by_use_;
  std::unordered_map<key, entry_list::iterator, hash> by_key_;
  std::array<std::size_t, 4096> lately_{}; ///< Hashes of small pieces that were asked for.
};

} // namespace busbar
