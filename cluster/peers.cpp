#include "cluster/peers.hpp"

#include "cluster/peers_body.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <random>
#include <system_error>
#include <utility>

namespace busbar::cluster {
namespace {

using std::chrono::steady_clock;

/// The clock looks at least this often, whatever it was told.
constexpr std::chrono::minutes clock_pause{10};
constexpr std::size_t notes_max = 1'000;

std::string no_link_with(const std::string& address) {
  return "no link with " + address;
}

std::uint64_t random_number() {
  std::random_device source;
  return (std::uint64_t{source()} << 32) | source();
}

} // namespace

// --- watched_sockets --------------------------------------------------------------------------

void watched_sockets::shut_all() {
  const std::lock_guard lock{mutex_};
  shut_ = true;
  for (const auto& one : sockets_)
    if (const auto socket = one.lock())
      socket->shut();
}

watched_sockets::watch::watch(watched_sockets& all, std::weak_ptr<link_socket> socket) : all_{all} {
  const std::lock_guard lock{all_.mutex_};
  if (const auto now = socket.lock(); now && all_.shut_)
    now->shut();
  at_ = all_.sockets_.insert(all_.sockets_.end(), std::move(socket));
}

watched_sockets::watch::~watch() {
  const std::lock_guard lock{all_.mutex_};
  all_.sockets_.erase(at_);
}

// --- peers::body: life ------------------------------------------------------------------------

peers::body::body(peers_settings s, tls_identity i)
    : settings{std::move(s)}, table{settings.limits.away_after, settings.limits.forget_after},
      identity_{std::move(i)}, instance_{random_number()}, pending_{settings.limits.pending_max} {
  events_.status = [this] { return own_status(); };
  events_.heard = [this](const conversation& from, member_status status, auto round_trip) {
    return hear(from, std::move(status), round_trip);
  };
  events_.asked = [this](std::string request, std::function<void(std::string)> reply) {
    if (settings.on_request)
      settings.on_request(std::move(request), std::move(reply));
  };
  events_.answered = [this](const conversation& from, std::uint64_t id, result<std::string> said) {
    settle(from, id, std::move(said));
  };
}

peers::body::~body() {
  stop();
}

result<void> peers::body::start() {
  if (stopping_signal.descriptor() < 0)
    return fail(errc::unavailable, "cluster: no file descriptors left");
  if (settings.members.dns.empty()) {
    auto others = settings.members.addresses;
    std::erase(others, settings.self);
    table.list(others, steady_clock::now());
  }
  clock_ = std::thread{[this] { run_clock(); }};
  listener_settings at;
  at.address = settings.self;
  at.handshake_time = settings.limits.connect_time;
  auto listening = listener::start(
      std::move(at), identity_, [this](std::unique_ptr<link> from) { take_link(std::move(from)); });
  if (!listening)
    return fail(std::move(listening).error());
  listener_ = std::move(*listening);
  roster_ = std::make_unique<roster>(
      settings.members, settings.self,
      [this](std::vector<std::string> addresses) { set_addresses(std::move(addresses)); });
  return {};
}

void peers::body::stop() {
  const std::lock_guard once{stop_once_};
  {
    const std::lock_guard lock{mutex};
    stopping_ = true;
    for (auto& [address, one] : dialers_)
      one->stop.raise();
    for (auto& [name, one] : talks)
      one->shut();
  }
  stopping_signal.raise();
  watched.shut_all();
  wake_clock();
  roster_.reset();
  if (listener_)
    listener_->stop();
  for (auto& [address, one] : dialers_) // nobody adds any more
    if (one->thread.joinable())
      one->thread.join();
  if (clock_.joinable())
    clock_.join();
  for (auto& then : pending_.take_all())
    finish(std::move(then), {errc::unavailable, "this member stops"});
}

member_status peers::body::own_status() const {
  auto out = settings.self_status();
  out.name = settings.self;
  out.version = settings.version;
  return out;
}

hello peers::body::own_hello(purpose why) const {
  hello out;
  out.storage_format = settings.storage_format;
  out.oldest_storage_format = settings.oldest_storage_format;
  out.stream_id = settings.stream_id;
  out.system_id = settings.self_status().system_id;
  out.name = settings.self;
  out.instance = instance_;
  out.version = settings.version;
  out.why = why;
  return out;
}

/// What does not change is said once, however often it is found.
void peers::body::note_once(const std::string& about, const std::string& line) {
  {
    const std::lock_guard lock{mutex};
    if (noted_.size() >= notes_max)
      noted_.clear();
    auto& last = noted_[about];
    if (last == line)
      return;
    last = line;
  }
  spdlog::warn("cluster: {}: {}", about, line);
}

// --- peers::body: dialling --------------------------------------------------------------------

void peers::body::set_addresses(std::vector<std::string> addresses) {
  std::vector<std::unique_ptr<dialer>> ended;
  {
    const std::lock_guard lock{mutex};
    if (stopping_)
      return;
    for (auto& [address, one] : dialers_)
      one->listed = false;
    for (const auto& address : addresses) {
      auto& one = dialers_[address];
      if (one && !one->done) {
        one->listed = true;
        continue;
      }
      if (one)
        ended.push_back(std::move(one));
      one = std::make_unique<dialer>();
      try {
        one->thread = std::thread{[this, address, self = one.get()] { dial_on(address, *self); }};
      } catch (const std::system_error& none) {
        one->done = true; // until the roster changes
        spdlog::error("cluster: no thread for {}: {}", address, none.what());
      }
    }
    for (auto at = dialers_.begin(); at != dialers_.end();) {
      const auto next = std::next(at);
      if (at->second->done) { // and nobody lists it
        ended.push_back(std::move(at->second));
        dialers_.erase(at);
      }
      at = next;
    }
  }
  for (auto& one : ended)
    if (one->thread.joinable())
      one->thread.join();
}

void peers::body::dial_on(const std::string& address, dialer& self) {
  const auto& limits = settings.limits;
  std::minstd_rand chance{std::random_device{}()};
  auto pause = limits.retry_least;
  for (;;) {
    const bool talked = dial_once(address, self);
    pause = talked ? limits.retry_least : std::min(pause * 2, limits.retry_most);
    std::uniform_int_distribution<long> somewhere{pause.count() / 2, pause.count()};
    if (self.stop.wait_until(steady_clock::now() + std::chrono::milliseconds{somewhere(chance)}))
      return;
    const std::lock_guard lock{mutex};
    if (!self.listed) {
      self.done = true;
      return;
    }
  }
}

/// True if there was a conversation worth the name.
bool peers::body::dial_once(const std::string& address, dialer& self) {
  const auto about = no_link_with(address);
  const auto until = steady_clock::now() + settings.limits.connect_time;
  auto over = link::dial(identity_, address, until, self.stop);
  if (!over) {
    if (!self.stop.raised())
      note_once(about, over.error().message);
    return false;
  }
  auto theirs = [&] {
    const watched_sockets::watch watch{watched, (*over)->socket()};
    return greet(**over, own_hello(purpose::peer), until);
  }();
  if (!theirs) {
    over->reset();
    if (theirs.error().oneself) // a name has this process's address, too; it may not for ever
      self.stop.wait_until(steady_clock::now() + settings.limits.forget_after);
    else if (!self.stop.raised())
      note_once(about, theirs.error().what.message);
    return false;
  }
  const auto began = steady_clock::now();
  const auto why = talk(std::move(*over), std::move(*theirs));
  if (!self.stop.raised())
    note_once(about, why.message);
  return steady_clock::now() - began > settings.limits.retry_most;
}

// --- peers::body: talking ---------------------------------------------------------------------

void peers::body::take_link(std::unique_ptr<link> from) {
  const auto until = steady_clock::now() + settings.limits.connect_time;
  const auto remote = from->remote();
  auto theirs = answer_greeting(*from, own_hello(purpose::peer), until);
  if (!theirs) {
    if (theirs.error().refused)
      note_once("a link from " + remote.substr(0, remote.rfind(':')) + " is refused",
                theirs.error().what.message);
    return;
  }
  if (theirs->why == purpose::peer)
    talk(std::move(from), std::move(*theirs));
  else if (settings.on_channel)
    settings.on_channel(std::move(from), theirs->why, *theirs);
}

/// Another process that has the same name and is alive. One that is not lets its links go.
std::optional<std::string> peers::body::conflict(const hello& theirs) {
  const auto alive = steady_clock::now() - 2 * settings.limits.heartbeat;
  const auto [first, last] = talks.equal_range(theirs.name);
  for (auto at = first; at != last; ++at) {
    if (at->second->theirs().instance == theirs.instance)
      continue;
    if (at->second->last_heard() > alive)
      return "two members call themselves " + theirs.name +
             ": BUSBAR_CLUSTER_ADDRESS must be different on each";
    at->second->shut();
  }
  return std::nullopt;
}

error peers::body::talk(std::unique_ptr<link> over, hello theirs) {
  const auto& limits = settings.limits;
  conversation_limits within;
  within.heartbeat = limits.heartbeat;
  within.silence_max = limits.give_up_after;
  within.unanswered_max = limits.unanswered_max;
  within.body_bytes_max = limits.body_bytes_max;
  within.queue_bytes_max = limits.queue_bytes_max;
  const auto name = theirs.name;
  std::unique_lock lock{mutex};
  if (stopping_)
    return {errc::unavailable, "this member stops"};
  if (const auto why = conflict(theirs)) {
    lock.unlock();
    note_once("a link with " + over->remote() + " is refused", *why);
    say_no(*over, *why, steady_clock::now() + limits.connect_time);
    return {errc::unavailable, *why};
  }
  const auto self =
      std::make_shared<conversation>(std::move(over), std::move(theirs), within, events_);
  const auto at = talks.emplace(name, self);
  noted_.erase(no_link_with(name)); // if it ends, that is news
  lock.unlock();
  auto why = self->run();
  lock.lock();
  talks.erase(at);
  lock.unlock();
  for (auto& then : pending_.take_all_of(self.get()))
    finish(std::move(then), why);
  return why;
}

result<void> peers::body::hear(const conversation& from, member_status status,
                               std::optional<std::chrono::microseconds> round_trip) {
  const auto ours = settings.self_status().system_id;
  if (!ours.empty() && !status.system_id.empty() && ours != status.system_id) {
    auto mine = own_hello(purpose::peer);
    auto theirs = from.theirs();
    theirs.system_id = status.system_id;
    auto why = disagreement(mine, theirs).value_or("it follows another PostgreSQL cluster");
    note_once(from.theirs().name, why);
    return fail(errc::unavailable, std::move(why));
  }
  status.name = from.theirs().name;
  {
    const std::lock_guard lock{mutex};
    const auto changed = table.heard(std::move(status), round_trip, steady_clock::now());
    if (!changed)
      return fail(changed.error());
    if (!*changed)
      return {};
    changed_ = true;
  }
  wake_clock();
  return {};
}

void peers::body::settle(const conversation& from, std::uint64_t id, result<std::string> answer) {
  if (const auto then = pending_.take(id, &from))
    then(std::move(answer));
}

void peers::body::ask(const std::string& member, std::string request, deadline until,
                      std::function<void(result<std::string>)> then) {
  if (request.size() > settings.limits.body_bytes_max)
    return finish(std::move(then), {errc::invalid_argument, "the question is too large"});
  std::shared_ptr<conversation> over;
  std::optional<std::uint64_t> id;
  bool sooner = false;
  {
    const std::lock_guard lock{mutex};
    const auto [first, last] = talks.equal_range(member);
    for (auto at = first; at != last && !stopping_; ++at)
      if (!over || at->second->last_heard() > over->last_heard())
        over = at->second;
    if (over)
      id = pending_.add(over.get(), until, then);
    sooner = until < clock_due_;
  }
  if (!over)
    return finish(std::move(then), {errc::unavailable, "there is no link with " + member});
  if (!id)
    return finish(std::move(then), {errc::unavailable, "too many questions wait for answers"});
  if (!over->ask(*id, std::move(request)))
    if (auto back = pending_.take(*id, over.get()))
      return finish(std::move(back),
                    {errc::unavailable, "the link with " + member + " takes no more"});
  if (sooner)
    wake_clock();
}

result<std::unique_ptr<link>> peers::body::open_channel(const std::string& member, purpose why,
                                                        deadline until) {
  if (member == settings.self)
    return fail(errc::invalid_argument, member + " is this member itself");
  auto over = link::dial(identity_, member, until, stopping_signal);
  if (!over)
    return over;
  const watched_sockets::watch watch{watched, (*over)->socket()};
  const auto theirs = greet(**over, own_hello(why), until);
  if (!theirs)
    return fail(theirs.error().what);
  if (theirs->name != member)
    return fail(errc::unavailable, "at " + member + " there is " + theirs->name);
  return over;
}

// --- peers::body: the clock -------------------------------------------------------------------

void peers::body::wake_clock() {
  {
    const std::lock_guard lock{mutex};
    clock_kicked_ = true;
  }
  clock_wakes_.notify_all();
}

/// On the clock's thread, because who asks may hold locks that `then` wants.
void peers::body::finish(pending_asks::answer then, error why) {
  {
    const std::lock_guard lock{mutex};
    if (!clock_over_) {
      failed_.emplace_back(std::move(then), std::move(why));
      clock_kicked_ = true;
      clock_wakes_.notify_all();
      return;
    }
  }
  then(fail(std::move(why)));
}

void peers::body::run_clock() {
  std::unique_lock lock{mutex};
  for (;;) {
    const auto now = steady_clock::now();
    clock_due_ = std::min({now + clock_pause, pending_.next_due().value_or(deadline::max()),
                           table.next_look().value_or(deadline::max())});
    clock_wakes_.wait_until(lock, clock_due_, [this] { return clock_kicked_ || stopping_; });
    clock_kicked_ = false;
    const bool last = stopping_ && failed_.empty();
    const bool changed = table.look(steady_clock::now()) | std::exchange(changed_, false);
    auto failed = std::exchange(failed_, {});
    clock_over_ = last;
    if (last)
      return;
    lock.unlock();
    for (auto& then : pending_.take_due(steady_clock::now()))
      then(fail(errc::unavailable, "no answer in time"));
    for (auto& [then, why] : failed)
      then(fail(std::move(why)));
    if (changed && settings.on_change)
      settings.on_change();
    lock.lock();
  }
}

// --- peers ------------------------------------------------------------------------------------

peers::peers(std::unique_ptr<body> b) : body_{std::move(b)} {}
peers::~peers() = default;

result<std::unique_ptr<peers>> peers::start(peers_settings settings) {
  auto identity = tls_identity::derive(settings.secret);
  if (!identity)
    return fail(std::move(identity).error());
  settings.secret.clear();
  auto inside = std::make_unique<body>(std::move(settings), std::move(*identity));
  try {
    if (auto started = inside->start(); !started)
      return fail(std::move(started).error());
  } catch (const std::system_error& none) {
    return fail(errc::unavailable, std::string{"cluster: no thread: "} + none.what());
  }
  return std::unique_ptr<peers>{new peers{std::move(inside)}};
}

std::vector<member_view> peers::members() const {
  const std::lock_guard lock{body_->mutex};
  return body_->table.views(steady_clock::now());
}

std::optional<std::string> peers::leader() const {
  const auto self = body_->own_status();
  const std::lock_guard lock{body_->mutex};
  return body_->table.leader(self, steady_clock::now());
}

const std::string& peers::self() const noexcept {
  return body_->settings.self;
}

void peers::ask(const std::string& member, std::string request, deadline until,
                std::function<void(result<std::string>)> then) {
  body_->ask(member, std::move(request), until, std::move(then));
}

result<std::unique_ptr<link>> peers::open_channel(const std::string& member, purpose why,
                                                  deadline until) {
  return body_->open_channel(member, why, until);
}

void peers::tell() {
  const std::lock_guard lock{body_->mutex};
  for (auto& [name, one] : body_->talks)
    one->tell();
}

void peers::stop() {
  body_->stop();
}

} // namespace busbar::cluster
