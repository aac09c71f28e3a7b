#include "http/worker.hpp"

#include "http/event_frame.hpp"

#include <pthread.h>

#include <algorithm>
#include <csignal>

namespace busbar::http {

namespace {

constexpr std::chrono::milliseconds readiness_look_period{50};
/// A refusal for a tenant's limit comes after one of so many pauses, by chance: who asks over many
/// connections would otherwise come back with all of them at once, and others wait behind these.
constexpr std::size_t limit_pauses = 16;
constexpr std::chrono::milliseconds limit_pause_least{250};
constexpr std::chrono::milliseconds limit_pause_step{33};
/// For so long at most a token outlives its end.
constexpr std::chrono::milliseconds pass_look_period{1'000};
/// Who takes nothing for as long as this may be given up when memory runs short.
constexpr std::chrono::milliseconds stalled_least{1'000};

} // namespace

server_shared::server_shared(server_settings given, monitoring::metrics& numbers)
    : settings{std::move(given)}, server_name{"ElectricSQL/" + settings.version}, metrics{numbers},
      requests{settings.initial_requests_max, settings.existing_requests_max},
      hot_bodies{settings.body_file_bytes_max} {}

worker::worker(server_shared& shared, std::unique_ptr<event_loop> loop)
    : shared_{shared}, loop_{std::move(loop)}, tasks_{loop_->tasks()},
      limits_{shared.settings.request_line_bytes_max, shared.settings.header_bytes_max,
              shared.settings.headers_max},
      phases_{deadline_list<phase_timer>{shared.settings.idle_timeout},
              deadline_list<phase_timer>{shared.settings.head_timeout},
              deadline_list<phase_timer>{shared.settings.body_timeout},
              deadline_list<phase_timer>{shared.settings.send_timeout},
              deadline_list<phase_timer>{std::chrono::seconds{2}},
              deadline_list<phase_timer>{shared.settings.sse_keepalive},
              deadline_list<phase_timer>{shared.settings.readiness_timeout}},
      lifetimes_{shared.settings.sse_lifetime}, random_{std::random_device{}()},
      read_buffer_(64 * 1024) {
  for (std::size_t i = 0; i < limit_pauses; ++i)
    pauses_.emplace_back(limit_pause_least + i * limit_pause_step);
  if (shared.settings.gate != nullptr)
    porter_ = std::make_unique<gate::porter>(*shared.settings.gate);
  read_clocks();
}

worker::~worker() = default;

void worker::run(const session_factory& sessions, const std::function<void()>& started) {
  // sendfile() to a closed socket raises it, and cannot be told not to.
  sigset_t broken_pipe;
  sigemptyset(&broken_pipe);
  sigaddset(&broken_pipe, SIGPIPE);
  pthread_sigmask(SIG_BLOCK, &broken_pipe, nullptr);
  session_ =
      sessions([tasks = tasks_](std::function<void()> task) { tasks->post(std::move(task)); });
  started();
  while (!stopping_) {
    loop_->wait(wait_milliseconds());
    read_clocks();
    loop_->dispatch();
    run_deferred();
    look_whether_ready();
    look_at_passes();
    expire();
    shed();
    publish_metrics();
    event_frame_ = {};
    bury();
  }
  close_all();
  publish_metrics();
  bury();
  session_.reset();
  tasks_->close();
}

void worker::read_clocks() {
  now_ = std::chrono::steady_clock::now();
  const auto wall = std::chrono::floor<std::chrono::seconds>(std::chrono::system_clock::now());
  if (wall == wall_clock_)
    return;
  wall_clock_ = wall;
  date_ = http_date(wall);
}

int worker::wait_milliseconds() noexcept {
  if (!deferred_.empty())
    return 0;
  auto next = lifetimes_.next();
  for (const auto& list : phases_)
    next = std::min(next, list.next());
  if (!waiting_for_service().empty())
    next = std::min(next, next_look_);
  if (!passes_.empty())
    next = std::min(next, next_look_at_passes_);
  next = std::min(next, next_to_shed());
  // Coarse on purpose: neighbouring deadlines expire in one go.
  if (next != steady_time::max())
    next += std::chrono::milliseconds{20};
  // But those for whom a limit waits shall not come back together.
  for (const auto& list : pauses_)
    next = std::min(next, list.next());
  if (next == steady_time::max())
    return -1;
  const auto left = next - std::chrono::steady_clock::now();
  return std::max(0, static_cast<int>(std::chrono::ceil<std::chrono::milliseconds>(left).count()));
}

void worker::adopt(owned_fd socket) {
  const int fd = socket.get();
  auto client = std::make_unique<connection>(*this, std::move(socket));
  if (!loop_->add(fd, *client)) {
    shared_.connections.fetch_sub(1);
    return;
  }
  arm(*client, phase::idle);
  if (draining_)
    client->prepare_drain();
  shared_.metrics.http_connections.Increment();
  open_.push_back(*client.release());
}

void worker::drain() {
  draining_ = true;
  for (auto& client : open_)
    client.prepare_drain();
  session_->drain();
  while (auto* client = waiting_for_service().pop_first())
    static_cast<connection*>(client)->on_phase_expired();
  for (auto client = open_.begin(); client != open_.end();)
    (client++)->close_if_idle();
}

void worker::close_all() {
  while (!open_.empty())
    open_.front().close();
}

void worker::arm(connection& client, phase in) noexcept {
  client.phase_timer::in = in;
  if (in == phase::limited)
    pauses_[random_() % pauses_.size()].arm(client, now_);
  else
    phases_[static_cast<std::size_t>(in)].arm(client, now_);
}

void worker::defer(connection& client) {
  if (std::exchange(client.deferred, true))
    return;
  deferred_.push_back(&client);
}

void worker::run_deferred() {
  // What is deferred from here on has its turn after the next look at the sockets.
  deferred_now_.swap(deferred_);
  for (auto* client : deferred_now_) {
    client->deferred = false;
    if (!client->closed())
      client->run_deferred();
  }
  deferred_now_.clear();
}

/// The state is an atomic that no one tells us of; looking at it now and then is cheap, and done
/// only while somebody waits.
void worker::look_whether_ready() {
  auto& waiting = waiting_for_service();
  if (waiting.empty() || now_ < next_look_)
    return;
  next_look_ = now_ + readiness_look_period;
  std::string why_not;
  if (session_->state(why_not) != service_state::active)
    return;
  while (auto* client = waiting.pop_first())
    static_cast<connection*>(client)->ask_again();
}

/// Each of them: keys and policies change for many at once, and a look is cheap.
void worker::look_at_passes() {
  if (passes_.empty() || now_ < next_look_at_passes_)
    return;
  next_look_at_passes_ = now_ + pass_look_period;
  std::vector<connection*> owners;
  for (auto& pass : passes_)
    owners.push_back(&pass.owner);
  for (auto* owner : owners)
    owner->look_at_pass();
}

void worker::expire() {
  const auto expire_of = [this](deadline_list<phase_timer>& list) {
    while (auto* expired = list.pop_expired(now_))
      static_cast<connection*>(expired)->on_phase_expired();
  };
  std::for_each(phases_.begin(), phases_.end(), expire_of);
  std::for_each(pauses_.begin(), pauses_.end(), expire_of);
  while (auto* expired = lifetimes_.pop_expired(now_))
    static_cast<connection*>(expired)->on_lifetime_expired();
}

steady_time worker::next_to_shed() const noexcept {
  const auto& stalled = phases_[static_cast<std::size_t>(phase::send)];
  const auto& settings = shared_.settings;
  if (held_.bytes() <= settings.held_bytes_max / std::max<std::size_t>(settings.io_threads, 1) ||
      stalled.empty())
    return steady_time::max();
  return stalled.next() - settings.send_timeout + stalled_least;
}

/// They come back with the offset they have, while those who do take what they ask for need not
/// share in a shortage that is not theirs.
void worker::shed() {
  while (next_to_shed() <= now_) {
    shared_.metrics.http_shed_readers.Increment();
    static_cast<connection*>(phases_[static_cast<std::size_t>(phase::send)].pop_first())->close();
  }
}

void worker::retire(connection& client) noexcept {
  client.connection_hook::unlink();
  closed_.push_back(client);
}

void worker::bury() noexcept {
  std::size_t gone = 0;
  for (auto next = closed_.begin(); next != closed_.end();) {
    connection& client = *next++;
    if (client.deferred && !stopping_)
      continue; // still on the list of the next turn
    client.connection_hook::unlink();
    std::unique_ptr<connection>{&client}.reset();
    ++gone;
  }
  if (gone == 0)
    return;
  shared_.metrics.http_connections.Decrement(static_cast<double>(gone));
  if (!draining_) {
    shared_.connections.fetch_sub(gone);
    return;
  }
  const std::lock_guard lock{shared_.drain_mutex};
  shared_.connections.fetch_sub(gone);
  shared_.drained.notify_all();
}

shared_bytes worker::event_frame(const log_slice& slice) {
  auto& last = event_frame_;
  if (!last.frame || last.entries != slice.ready || last.last_seen_lsn != slice.last_seen_lsn ||
      last.up_to_date != slice.up_to_date) {
    last.entries = slice.ready;
    last.last_seen_lsn = slice.last_seen_lsn;
    last.up_to_date = slice.up_to_date;
    last.frame = share(chunked_events(slice));
  }
  return last.frame;
}

void worker::count_request(route where, int status) {
  auto& counter = request_counters_[static_cast<int>(where) * 1000 + status];
  if (!counter)
    counter = &shared_.metrics.http_requests.Add(
        {{"route", std::string{name_of(where)}}, {"status", std::to_string(status)}});
  counter->Increment();
}

void worker::count_answered(route where, int status, bool live, steady_time began) {
  const auto status_class =
      std::min<std::size_t>(static_cast<std::size_t>(status) / 100, status_classes - 1);
  const auto number =
      (static_cast<std::size_t>(where) * status_classes + status_class) * 2 + (live ? 1 : 0);
  auto& one = answered_[number];
  if (one.times.empty())
    answered_now_.push_back(static_cast<std::uint8_t>(number));
  if (one.series == nullptr)
    one.series = &shared_.metrics.http_seconds.Add(
        {{"route", std::string{name_of(where)}},
         {"class", std::to_string(status_class) + "xx"},
         {"live", live ? "true" : "false"}},
        prometheus::Histogram::BucketBoundaries{monitoring::second_bounds.begin(),
                                                monitoring::second_bounds.end()});
  one.times.add(std::chrono::duration<double>(std::chrono::steady_clock::now() - began).count());
}

void worker::count_must_refetch(bool names_handle) noexcept {
  auto& metrics = shared_.metrics;
  (names_handle ? metrics.must_refetch_handle : metrics.must_refetch_removed).Increment();
}

void worker::publish_metrics() {
  if (sent_bytes_ > 0)
    shared_.metrics.http_sent_bytes.Increment(static_cast<double>(sent_bytes_));
  if (parked_change_ != 0)
    shared_.metrics.waiting_readers.Increment(parked_change_);
  sent_bytes_ = 0;
  parked_change_ = 0;
  for (const auto number : answered_now_)
    answered_[number].times.hand_to(*answered_[number].series);
  answered_now_.clear();
}

} // namespace busbar::http
