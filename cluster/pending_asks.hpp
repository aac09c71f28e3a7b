// cluster/pending_asks.hpp: questions that wait for their answers.
#pragma once

#include "base/result.hpp"
#include "cluster/link.hpp"

#include <cstdint>
#include <functional>
#include <map>
#include <mutex>
#include <optional>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace busbar::cluster {

/// Each question leaves exactly once: answered, overdue, or with its link. Any thread; calls
/// nobody.
class pending_asks {
public:
  using answer = std::function<void(result<std::string>)>;

  explicit pending_asks(std::size_t most) : most_{most} {}

  /// `owner` is the link that it goes over. nullopt if there are too many; `then` is kept then.
  std::optional<std::uint64_t> add(const void* owner, deadline until, answer& then);
  /// Empty if it has left already, or if `owner` was never asked this.
  answer take(std::uint64_t id, const void* owner);
  std::vector<answer> take_all_of(const void* owner);
  std::vector<answer> take_due(deadline now);
  std::vector<answer> take_all();
  std::optional<deadline> next_due() const;
  std::size_t size() const;

private:
  struct question {
    const void* owner = nullptr;
    deadline until;
    answer then;
  };
  using questions = std::map<std::uint64_t, question>;
  answer remove(questions::iterator at);

  const std::size_t most_;
  mutable std::mutex mutex_;
  questions questions_; // all under mutex_
  std::set<std::pair<deadline, std::uint64_t>> by_deadline_;
  std::uint64_t next_id_ = 1;
};

} // namespace busbar::cluster
