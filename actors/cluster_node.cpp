#include "actors/cluster_node.hpp"

#include "actors/cluster_reading.hpp"
#include "storage/keys.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <tuple>
#include <utility>

namespace busbar {

namespace {

using std::chrono::milliseconds;
using std::chrono::seconds;

constexpr milliseconds tick_period{250};
constexpr seconds reads_period{30};
constexpr seconds metrics_period{1};
/// What the leader before has on its way to us.
constexpr seconds last_words{1};
/// A leader whose stream has ended gets so long to have it again.
constexpr seconds stream_patience{5};
/// Between two members that may both lead, so that they do not both try.
constexpr milliseconds rank_step{700};
/// After a start, and while some are not heard: others may have more of the log than we have …
constexpr seconds join_patience{3};
/// … and surely have if we have nothing.
constexpr seconds empty_patience{10};
constexpr seconds followers_patience{2};
constexpr seconds drain_patience{2};
constexpr seconds link_patience{3};
constexpr seconds copy_patience{10};
/// A deposed leader learns of it sooner.
constexpr seconds doubt_patience{30};
/// While a leader says that it streams: so often it is tried whether that is so.
constexpr seconds lock_probe_period{2};
/// A leader that says nothing for so long is deposed, if most members say so.
constexpr seconds depose_after{4};
/// What a leader leaves to the others when its stream has ended and it reaches few of them.
constexpr seconds outvoted_patience{5};

bool is_there(const cluster::member_view& one) {
  return one.heard && !one.away_for;
}

} // namespace

/// The LINE to whoever leads.
class cluster_node::ask_leader final : public leader_line {
public:
  explicit ask_leader(cluster_node& owner) : owner_{owner} {}

  void ask(const cluster::question& what, clock::time_point until,
           std::function<void(result<cluster::answer>)> then) override {
    const auto leader = owner_.peers_->leader();
    if (!leader || *leader == owner_.settings_.self) {
      then(fail(errc::unavailable, "no node leads at the moment"));
      return;
    }
    owner_.peers_->ask(*leader, cluster::encode(what), until,
                       [this, until, then = std::move(then)](result<std::string> said) {
                         auto word = said ? cluster::read_answer(*said)
                                          : result<cluster::answer>{fail(said.error())};
                         auto* const here = owner_.follower_.load();
                         if (!word || word->why.code != errc::ok || here == nullptr) {
                           then(std::move(word));
                           return;
                         }
                         here->when_applied(word->sequence, until,
                                            [then, word = *word](const result<void>& applied) {
                                              if (applied)
                                                then(word);
                                              else
                                                then(fail(applied.error()));
                                            });
                       });
  }

private:
  cluster_node& owner_;
};

cluster_node::cluster_node(cluster_settings settings, cluster_environment environment)
    : settings_{std::move(settings)}, env_{std::move(environment)},
      gate_{settings_.grace,
            [this](lsn position, std::uint64_t epoch) {
              if (confirm_)
                confirm_(position, epoch);
            }},
      relay_{{.status = env_.status,
              .gate = &gate_,
              .term = [this] { return leading_term(); },
              .behind =
                  [this] {
                    std::vector<cluster::behind_shape> behind;
                    for (const auto& shape : env_.index->all())
                      if (const auto p = shape->progress(); p.behind > 0)
                        behind.push_back({shape->id(), p.behind});
                    return behind;
                  },
              .metrics = env_.metrics}},
      line_{std::make_shared<ask_leader>(*this)} {}

result<std::unique_ptr<cluster_node>> cluster_node::start(cluster_settings settings,
                                                          cluster_environment environment) {
  std::unique_ptr<cluster_node> node{new cluster_node{std::move(settings), std::move(environment)}};
  auto& self = *node;
  auto peers = cluster::peers::start(
      {.self = self.settings_.self,
       .secret = self.settings_.secret,
       .members = self.settings_.members,
       .stream_id = self.settings_.stream_id,
       .storage_format = storage::format_version,
       .oldest_storage_format = storage::format_oldest,
       .version = self.settings_.version,
       .self_status = [&self] { return self.self_status(); },
       .on_request =
           [&self](const std::string& request, std::function<void(std::string)> reply) {
             self.on_request(request, std::move(reply));
           },
       .on_channel =
           [&self](std::unique_ptr<cluster::link> to, cluster::purpose why,
                   const cluster::hello& from) { self.on_channel(std::move(to), why, from); },
       .on_change = [&self] { self.on_change(); },
       .limits = {}});
  if (!peers)
    return fail(std::move(peers).error());
  self.peers_ = std::move(*peers);
  self.ticker_ = std::thread{[&self] { self.tick(); }};
  return node;
}

cluster_node::~cluster_node() {
  stop();
}

// -- joining --------------------------------------------------------------------------------------

std::optional<std::string> cluster_node::find_leader(clock::time_point until) {
  for (;;) {
    auto leader = peers_->leader();
    if (leader && *leader != settings_.self)
      return leader;
    const auto members = peers_->members();
    const bool all_heard =
        !members.empty() && std::all_of(members.begin(), members.end(), is_there);
    if (all_heard || clock::now() >= until) // nobody leads yet, as far as can be known
      return std::nullopt;
    std::unique_lock guard{mutex_};
    changed_.wait_until(guard, std::min(until, clock::now() + tick_period));
  }
}

result<std::string> cluster_node::why_copy(const std::string& leader,
                                           const storage::lineage& lineage,
                                           std::uint64_t sequence) {
  const auto until = clock::now() + link_patience;
  auto link = peers_->open_channel(leader, cluster::purpose::follow, until);
  if (!link)
    return fail(std::move(link).error());
  if (auto sent = (*link)->send(cluster::encode(cluster::follow_request{lineage, sequence}), until);
      !sent)
    return fail(std::move(sent).error());
  auto answered = (*link)->receive(until);
  if (!answered)
    return fail(std::move(answered).error());
  if (!*answered)
    return fail(errc::unavailable, leader + " does not answer");
  const auto reply = cluster::read_follow_reply(**answered);
  if (!reply)
    return fail(reply.error());
  if (const auto* no = std::get_if<cluster::refused>(&*reply))
    return fail(errc::unavailable, no->why);
  const auto* copy = std::get_if<cluster::must_copy>(&*reply);
  if (copy && is_doubtful(*copy, lineage))
    return fail(errc::unavailable, leader + " leads in an earlier term than was followed here");
  return copy ? copy->why : std::string{};
}

/// A leader that has been deposed and does not know yet takes what came after it for something to
/// be thrown away. Only where that lasts has the database itself gone back to earlier terms.
bool cluster_node::is_doubtful(const cluster::must_copy& copy, const storage::lineage& ours) {
  const auto now = clock::now();
  const std::lock_guard guard{mutex_};
  if (ours.empty() || copy.term >= ours.back().term) {
    doubted_.reset();
    return false;
  }
  if (!doubted_)
    doubted_ = now;
  return now - *doubted_ < doubt_patience;
}

result<void> cluster_node::copy(const std::string& leader, const std::string& directory) {
  auto opened = peers_->open_channel(leader, cluster::purpose::copy, clock::now() + link_patience);
  if (!opened)
    return fail(std::move(opened).error());
  auto& link = **opened;
  if (auto sent = link.send(cluster::encode_copy_request(), clock::now() + link_patience); !sent)
    return sent;
  std::unique_ptr<storage::incoming_copy> incoming;
  std::uint64_t bytes = 0;
  for (;;) {
    auto received = link.receive(clock::now() + copy_patience);
    if (!received)
      return fail(std::move(received).error());
    if (!*received)
      return fail(errc::unavailable, leader + " sends no more of its storage");
    auto part = cluster::read_copy_part(**received);
    if (!part)
      return fail(std::move(part).error());
    if (const auto* no = std::get_if<cluster::refused>(&*part))
      return fail(errc::unavailable, no->why);
    if (const auto* files = std::get_if<cluster::copy_files>(&*part)) {
      auto begun = storage::incoming_copy::begin(directory, *files);
      if (!begun)
        return fail(std::move(begun).error());
      incoming = std::move(*begun);
      continue;
    }
    if (!incoming)
      return fail(errc::corrupt, leader + " sends a copy without a list of files");
    if (const auto* piece = std::get_if<cluster::copy_piece>(&*part)) {
      if (auto written = incoming->write(piece->file, piece->offset, piece->bytes); !written)
        return written;
      bytes += piece->bytes.size();
      continue;
    }
    auto finished = incoming->finish();
    if (finished) {
      spdlog::info("copied the storage of {}: {} bytes", leader, bytes);
      env_.metrics->copies_received.Increment();
    }
    return finished;
  }
}

void cluster_node::follow(caf::actor_system& system, storage::store& store, cast_ptr others,
                          stored_shapes& shapes) {
  others_ = others;
  store_.store(&store, std::memory_order_release);
  relay_.use(&store);
  own_follower_ = std::make_unique<follower>(
      system,
      follower_environment{
          .store = &store,
          .status = env_.status,
          .members = peers_.get(),
          .believes = [this](const cluster::must_copy& copy,
                             const storage::lineage& ours) { return !is_doubtful(copy, ours); },
          .on_copy_needed =
              [this](const std::string& why) {
                begin_again("the leader's storage must be copied: " + why);
              }},
      std::move(others), shapes);
  follower_.store(own_follower_.get());
  peers_->tell();
}

std::shared_ptr<leader_line> cluster_node::line() {
  return line_;
}

// -- leading --------------------------------------------------------------------------------------

bool cluster_node::may_lead() {
  if (!wants_to_lead_.exchange(true))
    peers_->tell();
  if (draining_ || begins_again_)
    return false;
  const auto now = clock::now();
  const auto members = peers_->members();
  if (leading_term() > 0) {
    // Its stream has ended. Whoever is first goes on, unless the others are where we are not.
    const auto there = std::count_if(members.begin(), members.end(), is_there);
    const std::lock_guard guard{mutex_};
    if (members.size() < 2 || 2 * static_cast<std::size_t>(there + 1) > members.size() + 1)
      leaderless_.reset();
    else if (!leaderless_)
      leaderless_ = now;
    return !leaderless_ || now - *leaderless_ > outvoted_patience;
  }
  const auto* const following = follower_.load();
  const auto followed = following != nullptr ? following->now() : follower::view{};
  const bool leader_drains = std::any_of(members.begin(), members.end(), [&](const auto& one) {
    return one.status.name == followed.leader && one.status.draining;
  });
  clock::time_point since;
  {
    const std::lock_guard guard{mutex_};
    if (!followed.leader.empty() && followed.streaming) {
      leaderless_.reset();
      // It has the lock, unless PostgreSQL has lost its session and it does not know yet.
      if (now - lock_tried_ < lock_probe_period)
        return false;
      lock_tried_ = now;
      return true;
    }
    if (!leaderless_)
      leaderless_ = now;
    since = *leaderless_;
  }
  auto waits = milliseconds{0};
  if (!followed.leader.empty() && !leader_drains)
    waits = stream_patience; // it is there, and will have its stream again
  const auto self = self_status();
  if (!std::all_of(members.begin(), members.end(), is_there)) {
    // Who is missing may have more than we have.
    const auto since_start = now - started_;
    if (self.lineage_term == 0 && since_start < empty_patience)
      return false;
    if (self.lineage_term > 0 && since_start < join_patience)
      return false;
    const bool out_of_sync =
        followed.term > 0 && (!followed.in_sync || now - followed.heard > settings_.grace);
    if (out_of_sync)
      waits = std::max<milliseconds>(waits, settings_.grace);
  }
  const auto worth = [](const cluster::member_status& one) {
    return std::tuple{one.lineage_term, one.sequence};
  };
  for (const auto& [status, away_for, round_trip, heard] : members) {
    if (!heard || away_for || status.draining || !status.may_lead)
      continue;
    if (worth(status) > worth(self) || (worth(status) == worth(self) && status.name < self.name))
      waits += rank_step;
  }
  // The heartbeats say how far each has come by then.
  if (!leader_drains)
    waits = std::max(waits, tick_period + milliseconds{50});
  return now - since >= waits;
}

std::optional<lsn> cluster_node::may_depose() const {
  const auto members = peers_->members();
  const cluster::member_view* missed = nullptr; // those before it are deposed already
  for (const auto& one : members)
    if (one.status.role == cluster::member_role::leader &&
        (missed == nullptr || one.status.term > missed->status.term))
      missed = &one;
  if (missed == nullptr || !missed->away_for || *missed->away_for < depose_after ||
      members.size() < 2)
    return std::nullopt;
  const auto who_miss = std::count_if(members.begin(), members.end(), [](const auto& one) {
    return is_there(one) && one.status.leader.empty();
  });
  if (2 * static_cast<std::size_t>(who_miss + 1) <= members.size() + 1)
    return std::nullopt;
  const auto has = store_.load(std::memory_order_acquire)->durable();
  return has ? std::optional{*has} : std::nullopt;
}

bool cluster_node::may_lead_without() {
  const auto self = self_status();
  const auto members = peers_->members();
  const bool others_are_worse = std::all_of(members.begin(), members.end(), [&](const auto& one) {
    return is_there(one) && std::tuple{one.status.lineage_term, one.status.sequence} <=
                                std::tuple{self.lineage_term, self.sequence};
  });
  if (others_are_worse)
    return true;
  const auto now = clock::now();
  const std::lock_guard guard{mutex_};
  if (!lacking_)
    lacking_ = now;
  return now - *lacking_ > settings_.grace;
}

void cluster_node::begin_to_lead(std::uint64_t term) {
  term_.store(0, std::memory_order_release);
  if (auto* const following = follower_.load())
    following->end(clock::now() + last_words);
  tried_term_ = term;
  env_.status->set_following(false);
  spdlog::info("this node has the stream's lock, in term {}", term);
}

void cluster_node::lead(std::uint64_t term) {
  std::vector<std::string> names;
  for (const auto& one : peers_->members())
    if (is_there(one) && !one.status.draining)
      names.push_back(one.status.name);
  gate_.lead(names, clock::now());
  term_.store(term, std::memory_order_release);
  env_.metrics->takeovers.Increment();
  peers_->tell();
}

void cluster_node::set_confirm(replication_gate::confirm told) {
  confirm_ = std::move(told);
}

void cluster_node::flushed(lsn position, std::uint64_t epoch) {
  gate_.flushed(position, epoch, store_.load(std::memory_order_acquire)->sequence());
}

void cluster_node::wait_for_followers() {
  if (leading_term() > 0)
    (void)gate_.wait_applied(store_.load(std::memory_order_acquire)->sequence(),
                             clock::now() + followers_patience);
}

// -- what the others see and ask ------------------------------------------------------------------

cluster::member_status cluster_node::self_status() const {
  cluster::member_status status;
  status.name = settings_.self;
  status.version = settings_.version;
  status.draining = draining_;
  status.may_lead = wants_to_lead_;
  status.last_seen = lsn{env_.status->last_seen_lsn()};
  status.shapes = env_.index->size();
  status.clients = env_.clients ? env_.clients() : 0;
  auto* store = store_.load(std::memory_order_acquire);
  if (!store)
    return status;
  status.sequence = store->sequence();
  if (const auto lineage = store->lineage(); lineage && !lineage->empty())
    status.lineage_term = lineage->back().term;
  if (const auto durable = store->durable())
    status.durable = *durable;
  if (const auto who = store->identity(); who && *who)
    status.system_id = (*who)->system_id;
  if (const auto term = leading_term(); term > 0) {
    status.role = cluster::member_role::leader;
    status.term = term;
    status.leader = settings_.self;
    status.in_sync = true;
    status.synced_sequence = status.sequence;
    if (const auto since = env_.status->away_since(); since && !env_.status->streaming())
      status.away_since = static_cast<std::uint64_t>(since->time_since_epoch().count());
  } else if (const auto* const following = follower_.load()) {
    const auto view = following->now();
    status.role =
        view.leader.empty() ? cluster::member_role::starting : cluster::member_role::follower;
    status.term = view.term;
    status.leader = view.leader;
    status.in_sync = view.in_sync;
    status.synced_sequence = view.synced;
  }
  return status;
}

void cluster_node::on_request(const std::string& request, std::function<void(std::string)> reply) {
  const auto refuse = [&](error why) {
    reply(cluster::encode(cluster::answer{.sequence = 0, .yes = false, .why = std::move(why)}));
  };
  if (leading_term() == 0)
    return refuse({errc::unavailable, "no node leads at the moment"});
  auto what = cluster::read_question(request);
  if (!what)
    return refuse(std::move(what).error());
  auto task = std::make_shared<remote_task>();
  task->what = std::move(*what);
  task->reply = [reply = std::move(reply)](const cluster::answer& said) {
    reply(cluster::encode(said));
  };
  caf::anon_send(others_->remote_desk, ask_atom_v, remote_task_ptr{std::move(task)});
}

void cluster_node::on_channel(std::unique_ptr<cluster::link> to, cluster::purpose why,
                              const cluster::hello& from) {
  if (why == cluster::purpose::follow)
    relay_.serve_follow(*to, from.name);
  else if (why == cluster::purpose::copy)
    relay_.serve_copy(*to, from.name);
}

void cluster_node::on_change() {
  changed_.notify_all();
  const auto term = std::max(leading_term(), tried_term_.load());
  if (term == 0)
    return;
  for (const auto& [status, away_for, round_trip, heard] : peers_->members()) {
    if (status.draining)
      gate_.excuse(status.name);
    if (!away_for && status.role == cluster::member_role::leader && status.term > term)
      begin_again(status.name + " leads in a later term");
  }
}

void cluster_node::tick() {
  std::unique_lock guard{mutex_};
  while (!changed_.wait_for(guard, tick_period, [this] { return stop_; })) {
    const bool tells_reads = clock::now() - reads_told_ > reads_period;
    if (tells_reads)
      reads_told_ = clock::now();
    guard.unlock();
    if (leading_term() > 0) {
      gate_.tick(clock::now());
      relay_.tick();
    } else if (auto* const following = follower_.load()) {
      following->tick();
      if (tells_reads && !following->now().leader.empty())
        tell_reads();
    }
    if (clock::now() - metrics_shown_ >= metrics_period) {
      metrics_shown_ = clock::now();
      env_.metrics->show(reading_of(report()));
    }
    guard.lock();
  }
}

/// The leader removes what is not read anywhere.
void cluster_node::tell_reads() {
  cluster::reads_question read;
  const auto since = shape_state::seconds_now() -
                     2 * static_cast<std::uint64_t>(std::chrono::seconds{reads_period}.count());
  for (const auto& shape : env_.index->all())
    if (shape->read_at() >= since)
      read.shapes.push_back(shape->id());
  if (!read.shapes.empty())
    line_->ask(read, clock::now() + reads_period, [](const result<cluster::answer>&) {});
}

void cluster_node::begin_again(const std::string& why) {
  if (begins_again_.exchange(true))
    return;
  spdlog::warn("this node begins again: {}", why);
  env_.on_begin_again(why);
}

// -- the end --------------------------------------------------------------------------------------

void cluster_node::drain() {
  if (draining_.exchange(true))
    return;
  peers_->tell();
  if (leading_term() > 0)
    (void)gate_.wait_applied(store_.load(std::memory_order_acquire)->sequence(),
                             clock::now() + drain_patience);
}

void cluster_node::stop() {
  {
    const std::lock_guard guard{mutex_};
    stop_ = true;
  }
  changed_.notify_all();
  if (ticker_.joinable())
    ticker_.join();
  relay_.stop();
  if (auto* const following = follower_.load())
    following->end(clock::now());
  if (peers_)
    peers_->stop();
}

std::vector<member_report> cluster_node::report() const {
  std::vector<member_report> all;
  all.push_back(
      {.member = {.status = self_status(), .away_for = {}, .round_trip = {}, .heard = true},
       .is_self = true,
       .followed = {}});
  const auto followed =
      leading_term() > 0 ? gate_.members() : std::vector<replication_gate::view>{};
  for (auto& member : peers_->members()) {
    member_report one{.member = std::move(member), .is_self = false, .followed = {}};
    for (const auto& view : followed)
      if (view.name == one.member.status.name)
        one.followed = view;
    all.push_back(std::move(one));
  }
  std::sort(all.begin(), all.end(), [](const auto& a, const auto& b) {
    return a.member.status.name < b.member.status.name;
  });
  return all;
}

} // namespace busbar
