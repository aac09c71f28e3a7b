// actors/set_links.hpp: which shapes ask which sets. The DIRECTORY's.
#pragma once

#include "actors/protocol.hpp"

#include <algorithm>
#include <unordered_map>
#include <unordered_set>
#include <utility>
#include <vector>

namespace busbar {

/// Knows sets and those that ask them, nothing of other shapes.
class set_links {
public:
  void add(const shape_ptr& shape) {
    if (shape->definition().is_set())
      sets_[shape->id()].set = shape;
    for (const auto id : shape->inner())
      sets_[id].askers.insert(shape);
  }

  /// Returns those that asked it, if it is a set, and the sets that nobody asks any more.
  std::pair<shape_list, shape_list> remove(const shape_ptr& shape) {
    shape_list askers;
    shape_list idle;
    if (const auto own = sets_.find(shape->id()); own != sets_.end()) {
      askers.assign(own->second.askers.begin(), own->second.askers.end());
      sets_.erase(own);
    }
    for (const auto id : shape->inner()) {
      const auto link = sets_.find(id);
      if (link == sets_.end())
        continue;
      link->second.askers.erase(shape);
      if (!link->second.askers.empty())
        continue;
      if (link->second.set)
        idle.push_back(link->second.set);
      else
        sets_.erase(link);
    }
    return {std::move(askers), std::move(idle)};
  }

  /// Whether all sets that the shape asks are complete.
  bool is_ready(const shape_state& shape) const {
    return std::all_of(shape.inner().begin(), shape.inner().end(), [&](const auto id) {
      const auto link = sets_.find(id);
      return link != sets_.end() && link->second.set && link->second.set->progress().complete;
    });
  }

  /// Those that ask the set.
  shape_list askers_of(const shape_state& set) const {
    const auto link = sets_.find(set.id());
    if (link == sets_.end())
      return {};
    return {link->second.askers.begin(), link->second.askers.end()};
  }

  /// Sets that nobody asks.
  shape_list idle() const {
    shape_list found;
    for (const auto& [id, link] : sets_)
      if (link.set && link.askers.empty())
        found.push_back(link.set);
    return found;
  }

private:
  struct link {
    shape_ptr set;                        ///< Null if it has been removed, or was never there.
    std::unordered_set<shape_ptr> askers; ///< Maybe all shapes of the table.
  };
  std::unordered_map<storage::shape_id, link> sets_;
};

} // namespace busbar
