// actors/waiting_room.hpp: the readers of one session that wait: for news of a shape, and each
// until a deadline.
#pragma once

#include "actors/reader.hpp"
#include "actors/shape_state.hpp"

#include <algorithm>
#include <array>
#include <chrono>
#include <functional>
#include <unordered_map>

namespace busbar {

/// Of one session, on its thread. Readers take themselves out when they die.
class waiting_room {
public:
  using clock = std::chrono::steady_clock;
  using reader_list =
      boost::intrusive::list<shape_reader, boost::intrusive::constant_time_size<false>>;

  /// What the room asks of its session.
  struct bell {
    std::function<void(const shape_ptr&)> watch;               ///< Somebody waits for this shape.
    std::function<void(storage::shape_id)> unwatch;            ///< Nobody does any more.
    std::function<void(std::chrono::milliseconds)> wake_after; ///< Call expired() then.
  };
  waiting_room(bell ring, std::chrono::milliseconds long_poll)
      : ring_{std::move(ring)}, long_poll_{long_poll} {}

  /// The reader waits for its shape; until when, its kind decides, or HTTP if it is an open stream.
  void park(shape_reader& reader, shape_reader::wait kind);
  static void unlink(shape_reader& reader) noexcept;

  /// Takes all who wait for this shape. If nobody does, the shape is no longer watched.
  reader_list take(storage::shape_id id);
  /// A reader just taken goes on waiting, and its deadline stays what it was.
  void put_back(shape_reader& reader);
  /// Takes everybody.
  std::vector<reader_list> take_all();
  /// Takes those whose time is over. A call that another was asked for to overtake does nothing, or
  /// every such call would ask for more of them.
  template <class Each>
  void expired(Each&& each) {
    const auto now = clock::now();
    if (next_tick_ == clock::time_point{} || now < next_tick_)
      return;
    next_tick_ = {};
    for (auto& list : deadlines_)
      while (!list.empty() && list.front().deadline_ <= now) {
        auto& reader = list.front();
        unlink(reader);
        each(reader);
      }
    auto next = clock::time_point::max();
    for (const auto& list : deadlines_)
      if (!list.empty())
        next = std::min(next, list.front().deadline_);
    if (next != clock::time_point::max())
      schedule(next);
  }

  shape_ptr shape(storage::shape_id id) const;
  /// Adds how many wait for each shape. Goes over all of them.
  void count(std::unordered_map<storage::shape_id, std::size_t>& readers) const;
  /// The shape is gone; nothing more will be heard of it.
  void forget_if_empty(storage::shape_id id);
  /// Whether this is the reader that parked last for this shape, and it still waits.
  bool has_last(const shape_reader& reader, storage::shape_id id) const;

private:
  using by_shape_hook =
      boost::intrusive::list_base_hook<boost::intrusive::link_mode<boost::intrusive::auto_unlink>>;
  using deadline_list = boost::intrusive::list<
      shape_reader,
      boost::intrusive::member_hook<shape_reader, decltype(shape_reader::by_deadline_),
                                    &shape_reader::by_deadline_>,
      boost::intrusive::constant_time_size<false>>;
  struct watched_shape {
    shape_ptr shape;
    reader_list readers;
  };

  std::chrono::milliseconds patience(shape_reader::wait kind) const;
  void schedule(clock::time_point when);

  const bell ring_;
  const std::chrono::milliseconds long_poll_;
  std::unordered_map<storage::shape_id, watched_shape> watched_;
  std::array<deadline_list, shape_reader::waits> deadlines_; ///< By kind of wait.
  clock::time_point next_tick_{}; ///< When the earliest wake_after() is due; none = not asked.
};

} // namespace busbar
