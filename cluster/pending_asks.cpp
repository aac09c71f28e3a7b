#include "cluster/pending_asks.hpp"

namespace busbar::cluster {

std::optional<std::uint64_t> pending_asks::add(const void* owner, deadline until, answer& then) {
  const std::lock_guard lock{mutex_};
  if (questions_.size() >= most_)
    return std::nullopt;
  const auto id = next_id_++;
  questions_.emplace(id, question{owner, until, std::move(then)});
  by_deadline_.emplace(until, id);
  return id;
}

pending_asks::answer pending_asks::remove(questions::iterator at) {
  auto then = std::move(at->second.then);
  by_deadline_.erase({at->second.until, at->first});
  questions_.erase(at);
  return then;
}

pending_asks::answer pending_asks::take(std::uint64_t id, const void* owner) {
  const std::lock_guard lock{mutex_};
  const auto at = questions_.find(id);
  return at == questions_.end() || at->second.owner != owner ? answer{} : remove(at);
}

std::vector<pending_asks::answer> pending_asks::take_all_of(const void* owner) {
  const std::lock_guard lock{mutex_};
  std::vector<answer> out;
  for (auto at = questions_.begin(); at != questions_.end();) {
    const auto next = std::next(at);
    if (at->second.owner == owner)
      out.push_back(remove(at));
    at = next;
  }
  return out;
}

std::vector<pending_asks::answer> pending_asks::take_due(deadline now) {
  const std::lock_guard lock{mutex_};
  std::vector<answer> out;
  while (!by_deadline_.empty() && by_deadline_.begin()->first <= now)
    out.push_back(remove(questions_.find(by_deadline_.begin()->second)));
  return out;
}

std::vector<pending_asks::answer> pending_asks::take_all() {
  return take_due(deadline::max());
}

std::optional<deadline> pending_asks::next_due() const {
  const std::lock_guard lock{mutex_};
  if (by_deadline_.empty())
    return std::nullopt;
  return by_deadline_.begin()->first;
}

std::size_t pending_asks::size() const {
  const std::lock_guard lock{mutex_};
  return questions_.size();
}

} // namespace busbar::cluster
