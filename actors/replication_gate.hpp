// actors/replication_gate.hpp: what a leader may tell PostgreSQL to forget: what every member that
// counts has on its disk.
#pragma once

#include "base/lsn.hpp"

#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <mutex>
#include <string>
#include <vector>

namespace busbar {

/// Any thread. Sequence numbers are those of storage/replication.hpp.
class replication_gate {
public:
  using clock = std::chrono::steady_clock;
  /// Called with what may be confirmed to PostgreSQL; under a lock of the gate, so it must not call
  /// it.
  using confirm = std::function<void(lsn, std::uint64_t epoch)>;

  /// `grace`: so long a member that is silent, or does not come on, holds the others back.
  replication_gate(std::chrono::milliseconds grace, confirm told)
      : grace_{grace}, confirm_{std::move(told)} {}

  /// A term begins: these members count until the grace is over, because nobody knows how far each
  /// of them is.
  void lead(const std::vector<std::string>& members, clock::time_point now);
  /// Here up to `position` is on the disk, of which `sequence` was the last write.
  void flushed(lsn position, std::uint64_t epoch, std::uint64_t sequence);

  /// A member follows from here, and counts when it has reached `target` on its disk. Returns the
  /// number of its link, which takes the place of any before it.
  std::uint64_t joined(const std::string& member, std::uint64_t sequence, std::uint64_t target,
                       clock::time_point now);
  void heard(const std::string& member, std::uint64_t link, std::uint64_t applied,
             std::uint64_t synced, clock::time_point now);
  /// Its link has ended. It still counts until the grace is over.
  void left(const std::string& member, std::uint64_t link);
  /// It is about to stop, and takes no clients with it. Until it joins again it does not count.
  void excuse(const std::string& member);
  /// Now and then: those whose grace is over count no more.
  void tick(clock::time_point now);

  bool counts(const std::string& member) const;
  /// True once all that count have applied this; false if they have not until then.
  bool wait_applied(std::uint64_t sequence, clock::time_point until);

  struct view {
    std::string name;
    std::uint64_t applied = 0;
    std::uint64_t synced = 0;
    bool linked = false;
    bool counts = false;
  };
  std::vector<view> members() const;

private:
  struct member {
    std::uint64_t applied = 0;
    std::uint64_t synced = 0;
    std::uint64_t target = 0; ///< It counts from here on.
    std::uint64_t link = 0;   ///< 0 = none.
    bool counts = false;
    bool excused = false;
    clock::time_point moved; ///< When it was last known to have all, or to come on.
  };
  struct step {
    lsn position{};
    std::uint64_t epoch = 0;
    std::uint64_t sequence = 0;
  };
  /// Confirms what all that count have.
  void pass();

  const std::chrono::milliseconds grace_;
  const confirm confirm_;
  mutable std::mutex mutex_;
  std::condition_variable moved_;
  std::map<std::string, member> members_;
  std::uint64_t last_link_ = 0;
  std::deque<step> waiting_; ///< By sequence.
};

} // namespace busbar
