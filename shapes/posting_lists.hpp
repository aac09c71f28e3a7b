// shapes/posting_lists.hpp: many small lists of numbers in one piece of memory, from which a number
// is taken out of all its lists without a search.
#pragma once

#include <cstddef>
#include <cstdint>
#include <utility>
#include <vector>

namespace busbar {

/// Who is looked for, by a number that the caller has given out: small ones, for they index arrays.
using routing_target = std::uint32_t;

/// Lists are made and dropped by number; `Owner` is what the caller wants to find again from one.
/// One thread. Adding and removing take constant time a posting, amortised.
template <class Owner>
class posting_lists {
public:
  using list_id = std::uint32_t;
  static constexpr std::uint32_t none = ~std::uint32_t{0};

  list_id make(Owner owner) {
    const auto id = take(lists_, free_lists_);
    lists_[id] = {.owner = std::move(owner), .head = none, .size = 0};
    return id;
  }
  void drop(list_id id) {
    lists_[id].owner = {};
    free_lists_.push_back(id);
    tidy(lists_, free_lists_);
  }
  Owner& owner(list_id id) { return lists_[id].owner; }
  const Owner& owner(list_id id) const { return lists_[id].owner; }
  std::size_t size(list_id id) const { return lists_[id].size; }

  /// `exact` is handed back with every visit.
  void add(list_id id, routing_target target, bool exact) {
    const auto at = take(postings_, free_postings_);
    auto& list = lists_[id];
    if (target >= first_of_.size())
      first_of_.resize(target + std::size_t{1}, none);
    postings_[at] = {target, id, none, list.head, first_of_[target], exact};
    if (list.head != none)
      postings_[list.head].before = at;
    list.head = at;
    ++list.size;
    first_of_[target] = at;
  }

  /// Takes the target out of all its lists; `emptied` is called with those that have become empty.
  template <class Emptied>
  void remove(routing_target target, Emptied&& emptied) {
    if (target >= first_of_.size())
      return;
    for (auto at = first_of_[target]; at != none;) {
      const auto gone = postings_[at];
      auto& list = lists_[gone.list];
      (gone.before != none ? postings_[gone.before].after : list.head) = gone.after;
      if (gone.after != none)
        postings_[gone.after].before = gone.before;
      free_postings_.push_back(at);
      if (--list.size == 0)
        emptied(gone.list);
      at = gone.sibling;
    }
    first_of_[target] = none;
    tidy(postings_, free_postings_);
    if (postings_.empty())
      first_of_ = {};
  }

  template <class Visit>
  void visit(list_id id, Visit&& found) const {
    for (auto at = lists_[id].head; at != none; at = postings_[at].after)
      found(postings_[at].target, postings_[at].exact);
  }

  std::size_t list_count() const noexcept { return lists_.size() - free_lists_.size(); }
  std::size_t posting_count() const noexcept { return postings_.size() - free_postings_.size(); }

private:
  struct posting {
    routing_target target = 0;
    list_id list = none;
    std::uint32_t before = none; ///< In its list …
    std::uint32_t after = none;
    std::uint32_t sibling = none; ///< … and the next of the same target.
    bool exact = false;
  };
  struct list {
    Owner owner = {};
    std::uint32_t head = none;
    std::uint32_t size = 0;
  };

  template <class T>
  static std::uint32_t take(std::vector<T>& from, std::vector<std::uint32_t>& free) {
    if (free.empty()) {
      from.emplace_back();
      return static_cast<std::uint32_t>(from.size() - 1);
    }
    const auto at = free.back();
    free.pop_back();
    return at;
  }
  /// Nothing is kept for nobody.
  template <class T>
  static void tidy(std::vector<T>& from, std::vector<std::uint32_t>& free) {
    if (from.size() == free.size()) {
      from = {};
      free = {};
    }
  }

  std::vector<posting> postings_;
  std::vector<std::uint32_t> free_postings_;
  std::vector<list> lists_;
  std::vector<std::uint32_t> free_lists_;
  std::vector<std::uint32_t> first_of_; ///< By target: its first posting.
};

} // namespace busbar
