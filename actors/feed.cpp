#include "actors/feed.hpp"

#include "actors/retry_pace.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <chrono>
#include <random>

namespace busbar {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;
using std::chrono::steady_clock;

/// Frames that a materializer may not have applied yet; half a megabyte each, or one row.
constexpr int frames_in_flight_max = 16;
constexpr seconds wait_max{10};
constexpr milliseconds gather_max{20};
/// Of each step between lock and stream, so that we are heard of between two (see touch()).
constexpr seconds reset_patience{30};

} // namespace

feed::feed(caf::actor_system& system, feed_environment environment, cast_ptr others)
    : system_{system}, env_{std::move(environment)}, others_{std::move(others)},
      credits_{others_->materializers.size(), frames_in_flight_max, env_.frame_bytes_max},
      thread_{[this] { run(); }} {}

feed::~feed() {
  stop_.store(true, std::memory_order_release);
  wake();
  thread_.join();
}

void feed::flushed(lsn position, std::uint64_t epoch) noexcept {
  const std::lock_guard guard{stream_mutex_};
  if (epoch != epoch_)
    return;
  flushed_.store(to_number(position), std::memory_order_release);
  if (stream_)
    stream_->wake();
}

void feed::renew() noexcept {
  must_renew_.store(true, std::memory_order_release);
  wake();
}

void feed::credit(std::size_t materializer, std::size_t bytes) noexcept {
  if (credits_.applied(materializer, bytes))
    wake();
}

void feed::wake() noexcept {
  const std::lock_guard guard{stream_mutex_};
  if (stream_)
    stream_->wake();
}

void feed::run() {
  retry_pace pace;
  std::minstd_rand random{std::random_device{}()};
  std::string said;
  while (!stopped()) {
    streaming_since_.reset();
    is_stranger_ = false;
    const auto ended = stream_once();
    env_.metrics->leader.Set(0);
    if (stopped() || !explain(ended))
      return;
    const auto wait = pace.next(streaming_since_, steady_clock::now()).count();
    const milliseconds jittered{
        std::uniform_int_distribution<std::int64_t>{wait / 2, wait}(random)};
    // What lasts is said once.
    const auto level = std::exchange(said, ended.message) == ended.message && !streaming_since_
                           ? spdlog::level::debug
                           : spdlog::level::warn;
    spdlog::log(level, "replication: {}; trying again in {} ms", ended.message, jittered.count());
    env_.metrics->reconnects.Increment();
    monitoring::counter_of(env_.metrics->disconnects, "cause",
                           std::string{ended.why_no_stream().name})
        .Increment();
    const auto until = steady_clock::now() + jittered;
    while (!stopped() && steady_clock::now() < until)
      std::this_thread::sleep_for(
          std::min<steady_clock::duration>(milliseconds{100}, until - steady_clock::now()));
  }
}

bool feed::explain(const postgres::pg_error& ended) {
  using phase = node_status::phase;
  if (ended.kind != postgres::trouble::fatal) {
    const auto why = ended.why_no_stream();
    env_.status->set_phase(phase::starting, {std::string{why.name}, std::string{why.text}});
    return true;
  }
  // It heals only by a human's hand. At a first start he is there and reads one line; later it may
  // be a secret that is being rotated or a database that is being restored, and there are shapes
  // to serve.
  if (may_end_ && (is_stranger_ || env_.shapes->size() == 0)) {
    env_.on_fatal(ended.to_error());
    return false;
  }
  const auto why = is_stranger_
                       ? postgres::pg_error::cause{"another_database",
                                                   "the connection URL leads to another database "
                                                   "than the one whose shapes are stored here"}
                       : ended.why_no_stream();
  env_.status->set_phase(phase::misconfigured, {std::string{why.name}, std::string{why.text}});
  return true;
}

postgres::pg_error feed::stream_once() {
  auto settings = env_.stream;
  settings.accept = [this](const postgres::leadership& leader) {
    auto accepted = accept(leader);
    is_stranger_ = !accepted;
    return accepted;
  };
  settings.on_slot_wait = [this](const std::string& waits_for) {
    env_.status->set_phase(
        node_status::phase::starting,
        {"slot_waits", "the new replication slot waits for open transactions: " + waits_for});
  };
  settings.on_waiting = [this] {
    env_.status->set_phase(node_status::phase::waiting,
                           {"another_leader", "another node leads the stream"});
  };
  settings.may_lead = env_.may_lead;
  settings.may_depose = env_.may_depose;
  auto opened = postgres::replication_stream::open(settings, stop_);
  if (!opened)
    return opened.error();
  auto& stream = *opened;
  may_end_ = false;
  struct registration {
    registration(feed& f, postgres::replication_stream& s) : owner{f} {
      const std::lock_guard guard{owner.stream_mutex_};
      owner.stream_ = &s;
    }
    ~registration() {
      const std::lock_guard guard{owner.stream_mutex_};
      owner.stream_ = nullptr;
    }
    registration(const registration&) = delete;
    registration& operator=(const registration&) = delete;
    feed& owner;
  } registered{*this, stream};

  const auto& leader = stream.leader();
  auto continued = take_over(stream);
  if (!continued)
    return {postgres::trouble::transient, {}, continued.error().message};
  if (!reset_materializers(stream))
    return {postgres::trouble::transient, {}, "storage does not accept writes"};
  credits_.reset();
  if (!*continued)
    if (auto begun = begin_anew(leader); !begun)
      return {postgres::trouble::transient, {}, begun.error().message};
  const auto begin = std::max(*continued ? to_number(kept_) : 0, to_number(leader.confirmed_flush));
  for (std::size_t i = 0; begin > 0 && i < others_->materializers.size(); ++i)
    env_.status->processed(i, begin - 1);
  if (auto started = stream.start(lsn{begin}); !started)
    return started.error();
  env_.status->term.store(leader.term, std::memory_order_release);
  env_.status->newest_xid.store(leader.term, std::memory_order_release);
  env_.metrics->term.Set(static_cast<double>(leader.term));
  env_.metrics->leader.Set(1);
  env_.status->set_phase(node_status::phase::streaming);
  commits_.forget();
  streaming_since_ = steady_clock::now();
  must_renew_.store(false, std::memory_order_release);
  caf::anon_send(others_->reconciler, tick_atom_v); // tables may have gone while nobody looked
  spdlog::info("leading stream {} in term {} from {}", env_.stream.stream_id, leader.term,
               to_pg_string(lsn{begin}));

  lsn idle{};
  while (!stopped()) {
    if (must_renew_.load(std::memory_order_acquire))
      return {postgres::trouble::slot_lost, {}, "the publication is not as it must be"};
    const auto flushed = lsn{flushed_.load(std::memory_order_acquire)};
    if (flushed > lsn{0}) {
      if (auto told = stream.confirm(flushed); !told)
        return told.error();
      note_durable(flushed);
    }
    const auto until = steady_clock::now() + wait_max;
    if (credits_.full()) {
      if (auto paused = stream.pause(until); !paused)
        return paused.error();
      continue;
    }
    // While the materializers are busy, small transactions gather into one frame: an idle server
    // passes on each at once, a loaded one saves most of the cost of each.
    const bool idle_now = credits_.idle();
    auto event = stream.next(idle_now ? until : steady_clock::now() + gather_max, idle_now);
    if (!event)
      return event.error();
    if (!event->transactions.empty())
      send_frame(event->transactions);
    if (event->idle_up_to > idle) {
      idle = event->idle_up_to;
      for (const auto& materializer : others_->materializers)
        caf::anon_send(materializer, idle_atom_v, idle);
    }
  }
  return {postgres::trouble::none, {}, "stopping"};
}

storage::node_identity feed::identity_of(const postgres::leadership& leader) const {
  return {.system_id = leader.system_id,
          .timeline = leader.timeline,
          .database = leader.database,
          .stream_id = env_.stream.stream_id};
}

/// Storage of another database must stop us before we touch anything there.
result<void> feed::accept(const postgres::leadership& leader) const {
  const auto now = identity_of(leader);
  auto stored = env_.store->identity();
  if (!stored)
    return fail(std::move(stored).error());
  if (!*stored)
    return {};
  const auto& before = **stored;
  if (before.system_id == now.system_id && before.database == now.database &&
      before.stream_id == now.stream_id)
    return {};
  return fail(errc::misconfigured,
              "the storage directory holds shapes of another database (system " + before.system_id +
                  ", database " + before.database + ", stream " + before.stream_id +
                  "), not of this one (system " + now.system_id + ", database " + now.database +
                  ", stream " + now.stream_id +
                  "); set BUSBAR_STORAGE_DIR to another directory, or empty this one");
}

/// Compares what leads us with what storage holds. True: the log goes on where it ended; false: it
/// begins anew, all shapes were removed. An error is for a human.
result<bool> feed::take_over(postgres::replication_stream& stream) {
  const auto& leader = stream.leader();
  if (env_.may_lead_without) {
    const auto now = past();
    if (!now)
      return fail(now.error());
    if (now->has_shapes && leader.confirmed_flush > now->durable && !env_.may_lead_without())
      return fail(errc::unavailable,
                  "another member may have the changes that are missing here: not leading yet");
  }
  if (env_.on_lead)
    if (auto leads = env_.on_lead(leader.term); !leads)
      return fail(std::move(leads).error());
  (void)stream.touch();
  auto before = past();
  if (!before)
    return fail(std::move(before).error());
  const auto found = judge(*before, leader);
  if (!found.gap.empty())
    unpurged_ = found.gap;
  if (!unpurged_.empty()) {
    must_begin_anew_ = true; // shapes are gone from memory before they are gone from storage
    spdlog::warn("removing all shapes: {}", unpurged_);
    caf::scoped_actor waiting{system_};
    bool done = false;
    waiting->request(others_->directory, reset_patience, purge_atom_v, unpurged_)
        .receive([&](bool ok) { done = ok; }, [](const caf::error&) {});
    if (!done)
      return fail(errc::unavailable, "the shapes could not be removed from storage");
    unpurged_.clear();
    (void)stream.touch(); // what is wrong with it start() tells
  }
  must_begin_anew_ |= !found.goes_on;
  if (must_begin_anew_)
    return false;
  const auto now = identity_of(leader);
  if (!before->identity || *before->identity != now)
    if (auto set = env_.store->set_identity(now); !set)
      return fail(std::move(set).error());
  if (const auto flushed = flushed_.load(); flushed > 0) {
    kept_ = lsn{flushed};
    return true;
  }
  kept_ = before->durable;
  if (!ask_flusher(continue_atom_v, kept_))
    return fail(errc::unavailable, "storage does not accept writes");
  if (!env_.on_kept) {
    flushed_.store(to_number(kept_), std::memory_order_release);
    return true;
  }
  std::uint64_t epoch = 0;
  {
    const std::lock_guard guard{stream_mutex_};
    epoch = epoch_;
  }
  env_.on_kept(kept_, epoch);
  return true;
}

result<our_past> feed::past() const {
  our_past before;
  auto stored = env_.store->identity();
  if (!stored)
    return fail(std::move(stored).error());
  before.identity = *std::move(stored);
  auto durable = env_.store->durable();
  if (!durable)
    return fail(std::move(durable).error());
  before.durable = *durable;
  auto newest = env_.store->newest_xid();
  if (!newest)
    return fail(std::move(newest).error());
  before.newest_xid = std::max(*newest, env_.status->newest_xid.load());
  for (const auto& shape : env_.shapes->all()) {
    before.has_shapes = true;
    before.shown = std::max(before.shown, lsn{shape->progress().head.tx});
  }
  return before;
}

template <class... Words>
bool feed::ask_flusher(Words... words) {
  caf::scoped_actor waiting{system_};
  bool done = false;
  waiting->request(others_->flusher, reset_patience, words...)
      .receive([&](bool ok) { done = ok; }, [](const caf::error&) {});
  return done;
}

result<void> feed::begin_anew(const postgres::leadership& leader) {
  std::uint64_t epoch = 0;
  {
    const std::lock_guard guard{stream_mutex_};
    epoch = ++epoch_;
    flushed_.store(0, std::memory_order_release);
  }
  if (!ask_flusher(reset_atom_v, leader.confirmed_flush, epoch))
    return fail(errc::unavailable, "storage does not accept writes");
  // From here on the slot must never be found ahead of what storage says. Whose log it is is
  // written last: until then a start that finds the one before removes everything again.
  if (auto synced = env_.store->sync(leader.confirmed_flush, leader.term); !synced)
    return synced;
  if (auto set = env_.store->set_identity(identity_of(leader)); !set)
    return set;
  env_.status->restart(to_number(leader.confirmed_flush) - 1);
  must_begin_anew_ = false;
  return {};
}

bool feed::reset_materializers(postgres::replication_stream& stream) {
  caf::scoped_actor waiting{system_};
  bool all = true;
  for (const auto& materializer : others_->materializers) {
    waiting->request(materializer, reset_patience, reset_atom_v)
        .receive([&](bool ok) { all &= ok; }, [&](const caf::error&) { all = false; });
    (void)stream.touch();
  }
  return all;
}

void feed::note_durable(lsn flushed) {
  env_.metrics->confirmed_lsn.Set(static_cast<double>(to_number(flushed)));
  commits_.durable(to_number(flushed), postgres_micros(std::chrono::system_clock::now()), lags_);
  lags_.hand_to(env_.metrics->commit_to_durable);
}

void feed::send_frame(const frame& next) {
  const auto root = next.read();
  const auto transactions = root.getTransactions();
  const auto term = env_.status->term.load(std::memory_order_relaxed);
  auto newest_xid = env_.status->newest_xid.load(std::memory_order_relaxed);
  const auto now = postgres_micros(std::chrono::system_clock::now());
  std::uint32_t ended = 0;
  std::uint64_t end_lsn = 0;
  std::int64_t first_commit = 0;
  for (const auto transaction : transactions) {
    if (!transaction.getEnds())
      continue;
    const auto committed = transaction.getCommitMicros();
    if (++ended == 1)
      first_commit = committed;
    end_lsn = transaction.getEndLsn();
    lags_.add(seconds_between(committed, now));
    newest_xid = std::max(newest_xid, widen_xid(transaction.getXid(), term));
  }
  if (ended > 0) {
    env_.metrics->received_lsn.Set(static_cast<double>(end_lsn));
    lags_.hand_to(env_.metrics->receive_lag);
    commits_.received(end_lsn, first_commit, ended);
  }
  env_.status->newest_xid.store(newest_xid, std::memory_order_release);
  env_.metrics->transactions.Increment(ended);
  env_.metrics->changes.Increment(root.getChanges().size());
  env_.metrics->received_bytes.Increment(static_cast<double>(next.size_bytes()));
  credits_.sent(next.size_bytes());
  for (const auto& materializer : others_->materializers)
    caf::anon_send(materializer, apply_atom_v, next);
}

} // namespace busbar
