// http/worker.hpp: one I/O thread: its loop, its session, its connections, and what they share.
#pragma once

#include "actors/client_session.hpp"
#include "http/admission.hpp"
#include "http/body_files.hpp"
#include "http/connection.hpp"
#include "http/event_loop.hpp"
#include "http/server.hpp"
#include "http/timers.hpp"
#include "monitoring/seconds_tally.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "gate/porter.hpp"

namespace busbar::http {

/// What all workers of a server share. Thread-safe.
struct server_shared {
  server_shared(server_settings given, monitoring::metrics& numbers);

  const server_settings settings;
  const std::string server_name; ///< For the electric-server header.
  monitoring::metrics& metrics;
  admission requests;
  body_files hot_bodies;
  std::atomic<std::size_t> connections{0};
  std::mutex drain_mutex;
  std::condition_variable drained; ///< Told when `connections` falls while a worker drains.
};

/// Created on any thread; everything else but post() belongs to the thread that calls run().
class worker {
public:
  worker(server_shared& shared, std::unique_ptr<event_loop> loop);
  ~worker();

  void post(task task) { tasks_->post(std::move(task)); } ///< Any thread.

  /// Starts the session, then serves until stop(); destroys connections and session at the end.
  void run(const session_factory& sessions, const std::function<void()>& started);
  void stop() noexcept { stopping_ = true; }
  void drain();
  void adopt(owned_fd socket); ///< A connection counted in server_shared::connections.
  event_loop& loop() noexcept { return *loop_; }

  // For connections.
  client_session& session() noexcept { return *session_; }
  const server_settings& settings() const noexcept { return shared_.settings; }
  std::string_view server_name() const noexcept { return shared_.server_name; }
  admission& requests() noexcept { return shared_.requests; }
  body_files& hot_bodies() noexcept { return shared_.hot_bodies; }
  monitoring::metrics& metrics() noexcept { return shared_.metrics; }
  const head_limits& limits() const noexcept { return limits_; }
  bool draining() const noexcept { return draining_; }
  gate::porter* porter() noexcept { return porter_.get(); } ///< Null: there are no tokens.
  void keep(gate_pass& pass) noexcept { passes_.push_back(pass); }

  std::string_view date() const noexcept { return date_; }
  std::chrono::sys_seconds wall_clock() const noexcept { return wall_clock_; }
  gate::wall_time precise_wall_clock() const noexcept { return std::chrono::system_clock::now(); }
  steady_time now() const noexcept { return now_; }
  std::uint64_t random() { return random_(); }
  std::span<char> read_buffer() noexcept { return read_buffer_; }
  /// Where the text of a head is put together: at most one is under way in a thread.
  std::string& head_text() noexcept { return head_text_; }

  void arm(connection& client, phase in) noexcept;
  void arm_lifetime(connection& client) noexcept { lifetimes_.arm(client, now_); }

  /// run_deferred() for this connection before the loop waits again.
  void defer(connection& client);
  void retire(connection& client) noexcept; ///< It has closed; dies at the end of the turn.

  /// A slice as one chunk of an SSE stream, built once for all clients that get it in this turn.
  shared_bytes event_frame(const log_slice& slice);

  /// When this turn of the loop began.
  steady_time turn() const noexcept { return now_; }
  void count_request(route where, int status);
  void count_answered(route where, int status, bool live, steady_time began);
  std::uint64_t& sent_bytes() noexcept { return sent_bytes_; }
  std::size_t& incoming_bytes() noexcept { return incoming_bytes_; } ///< Of bodies half received.
  held_pieces& held() noexcept { return held_; }
  void count_parked(int change) noexcept { parked_change_ += change; }
  void count_must_refetch(bool names_handle) noexcept;

private:
  deadline_list<phase_timer>& waiting_for_service() noexcept {
    return phases_[static_cast<std::size_t>(phase::readiness)];
  }
  int wait_milliseconds() noexcept;
  void read_clocks();
  void run_deferred();
  void expire();
  void look_whether_ready();
  void look_at_passes();
  /// When the client that has taken nothing for longest may be given up; max() if none need be.
  steady_time next_to_shed() const noexcept;
  void shed();
  void publish_metrics();
  void bury() noexcept;
  void close_all();

  using connection_list =
      boost::intrusive::list<connection, boost::intrusive::base_hook<connection_hook>,
                             boost::intrusive::constant_time_size<false>>;

  server_shared& shared_;
  std::unique_ptr<event_loop> loop_;
  std::shared_ptr<task_queue> tasks_;
  std::unique_ptr<client_session> session_;
  const head_limits limits_;
  bool stopping_ = false;
  bool draining_ = false;
  steady_time next_look_{}; // at the service's state, for those who wait for it

  std::unique_ptr<gate::porter> porter_;
  boost::intrusive::list<gate_pass, boost::intrusive::base_hook<pass_hook>,
                         boost::intrusive::constant_time_size<false>>
      passes_; // before the connections, which own them
  steady_time next_look_at_passes_{};
  held_pieces held_;       // before the connections, which hold them
  connection_list open_;   // owns its elements, see adopt() and bury()
  connection_list closed_; // likewise
  std::vector<connection*> deferred_;
  std::vector<connection*> deferred_now_;
  std::array<deadline_list<phase_timer>, phases> phases_;
  std::vector<deadline_list<phase_timer>> pauses_; // of phase::limited
  deadline_list<lifetime_timer> lifetimes_;

  steady_time now_{};
  std::chrono::sys_seconds wall_clock_{};
  std::string date_;
  std::mt19937_64 random_;
  std::vector<char> read_buffer_;
  std::string head_text_;

  struct {
    shared_bytes entries; // kept alive, so that its address stays its identity
    std::uint64_t last_seen_lsn = 0;
    bool up_to_date = false;
    shared_bytes frame;
  } event_frame_;

  /// How long answers took, by route, class of status and whether they were live.
  struct answered {
    prometheus::Histogram* series = nullptr;
    monitoring::seconds_tally times = {};
  };
  static constexpr std::size_t status_classes = 6;
  std::array<answered, routes * status_classes * 2> answered_;
  std::vector<std::uint8_t> answered_now_; // those of this turn
  std::unordered_map<int, prometheus::Counter*> request_counters_;
  std::uint64_t sent_bytes_ = 0;
  std::size_t incoming_bytes_ = 0;
  int parked_change_ = 0;
};

} // namespace busbar::http
