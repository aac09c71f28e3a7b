#include "postgres/replication_stream.hpp"

#include "base/bytes.hpp"
#include "postgres/catalog.hpp"
#include "postgres/catalog_session.hpp"
#include "postgres/pgoutput.hpp"
#include "postgres/session.hpp"
#include "postgres/takeover.hpp"

#include <libpq-fe.h>
#include <poll.h>
#include <spdlog/spdlog.h>
#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <utility>

namespace busbar::postgres {

namespace {

using clock = std::chrono::steady_clock;
using std::chrono::seconds;

constexpr seconds connect_max{15};
constexpr seconds answer_max{30};
// PostgreSQL sends each change by itself. From here on a transaction counts as large, and its
// reader lets changes gather for a moment instead of waking up for each.
constexpr std::size_t large_bytes = 32 * 1024;
constexpr std::chrono::milliseconds gather_time{1};
constexpr seconds release_max{2}; // a predecessor's session still lets go of the slot
constexpr auto release_period = std::chrono::milliseconds{50};
// While the catalog is asked nothing is read; feedback is sent between two questions. Of all that a
// frame asks, together:
constexpr seconds catalog_max{2};
constexpr std::chrono::milliseconds catalog_least{500};
// What failed is asked again, with growing pauses, for so long.
constexpr seconds catalog_patience{30};
constexpr std::chrono::milliseconds catalog_retry_min{50};
constexpr std::chrono::milliseconds catalog_retry_max{2'000};
// From such a silence on feedback asks for an answer.
constexpr int silence_parts = 20;
constexpr std::chrono::milliseconds visibility_retry{5};
constexpr int visibility_waits_max = 2'000;
constexpr int visibility_waits_least = 100;

auto broken(pg_error why) {
  return tl::unexpected<pg_error>{std::move(why)};
}

/// Counts wake() calls; readable while there is one that was not seen.
class wake_signal {
public:
  wake_signal() : fd_{eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC)} {}
  wake_signal(const wake_signal&) = delete;
  wake_signal& operator=(const wake_signal&) = delete;
  ~wake_signal() {
    if (fd_ >= 0)
      close(fd_);
  }
  int fd() const noexcept { return fd_; }
  void raise() const noexcept {
    const std::uint64_t one = 1;
    (void)!write(fd_, &one, sizeof one); // fails only if it is raised already, 2^64 - 2 times
  }
  void lower() const noexcept {
    std::uint64_t count = 0;
    (void)!read(fd_, &count, sizeof count);
  }

private:
  int fd_;
};

struct copied_message {
  char* bytes = nullptr;
  explicit copied_message(char* taken) : bytes{taken} {}
  copied_message(const copied_message&) = delete;
  copied_message& operator=(const copied_message&) = delete;
  ~copied_message() { PQfreemem(bytes); }
};

/// Microseconds since 2000-01-01, PostgreSQL's clock.
std::uint64_t postgres_now() {
  constexpr std::int64_t unix_to_postgres_seconds = 946'684'800;
  const auto now = std::chrono::system_clock::now().time_since_epoch();
  return static_cast<std::uint64_t>(
      std::chrono::duration_cast<std::chrono::microseconds>(now).count() -
      unix_to_postgres_seconds * 1'000'000);
}

} // namespace

struct replication_stream::state {
  state(const stream_settings& s, connection c, taken_over t)
      : settings{s}, session{std::move(c)}, leader{std::move(t.leader)},
        feedback_period{t.feedback_period}, decoder{leader.term},
        confirmed{to_number(leader.confirmed_flush)}, catalog{s.url} {}

  pg_result_of<void> begin_copy(lsn from);
  pg_result_of<void> send_feedback();
  pg_result_of<void> send_feedback_if_due();
  pg_result_of<bool> read_available();
  pg_result_of<void> handle(std::string_view message);
  pg_error end_of_stream();
  pg_result_of<bool> place_relations();
  pg_result_of<void> tell_facts(connection& asked, std::vector<std::uint32_t> oids, deadline until);
  pg_result_of<void> check_server();
  pg_result_of<void> check_silence();
  pg_result_of<bool> try_catalog_later(const pg_error& why);
  bool is_proof_of_loss(const pg_error& why);
  waited wait(short events, deadline until);
  waited wait_for_news(deadline until);

  stream_settings settings;
  connection session;
  leadership leader;
  std::chrono::milliseconds feedback_period;
  pgoutput_decoder decoder;
  wake_signal signal;
  bool streaming = false;
  std::uint64_t confirmed; ///< What feedback says.
  std::uint64_t idle = 0;  ///< See stream_event::idle_up_to; at first where the stream begins.
  std::uint64_t idle_told = 0;
  lsn taken_end{};           ///< decoder.last_end() at the last take().
  bool taken_inside = false; ///< The frame before ended inside a transaction.
  clock::time_point next_feedback = clock::time_point::max(); ///< None is due before start().
  catalog_session catalog;
  table_versions told_versions;       ///< Of the facts that are in frames.
  clock::time_point next_catalog_try; ///< After it has shown too little, or failed.
  std::optional<clock::time_point> catalog_fails_since;
  std::chrono::milliseconds catalog_retry = catalog_retry_min;
  clock::time_point last_heard = clock::now(); ///< Of the server; or a time when nobody listened.
  int waits_for_visibility = 0;                ///< So many times in a row.
};

/// Waits as wait_for(), but at most until something else is due, and sends on what libpq still
/// holds. Looks after the catalog's session, too.
waited replication_stream::state::wait(short events, deadline until) {
  if (PQflush(session.raw()) == 1)
    events = static_cast<short>(events | POLLOUT);
  const auto limit = std::min({until, next_feedback, catalog.next_question()});
  const auto outcome = wait_for(session.raw(), events, {signal.fd(), catalog.fd()}, limit);
  if (outcome != waited::beside)
    return outcome;
  catalog.look();
  return waited::timed_out;
}

pg_result_of<void> replication_stream::state::check_server() {
  if (catalog.is_refused())
    return broken({trouble::transient, "57P03",
                   "PostgreSQL is shutting down, and waits for something that could only be "
                   "confirmed with its help"});
  return {};
}

/// A connection whose other end is gone without a word looks like an idle one.
pg_result_of<void> replication_stream::state::check_silence() {
  if (clock::now() - last_heard <= settings.silence_max)
    return {};
  return broken({trouble::transient, {}, "PostgreSQL does not answer in time"});
}

waited replication_stream::state::wait_for_news(deadline until) {
  if (!decoder.in_transaction() || (!taken_inside && decoder.pending_bytes() < large_bytes))
    return wait(POLLIN, until);
  const auto gathered = clock::now() + gather_time;
  const auto outcome = wait(0, std::min(until, gathered));
  return outcome == waited::timed_out && until > gathered ? waited::ready : outcome;
}

pg_result_of<void> replication_stream::state::send_feedback() {
  // `confirmed` is the END of a commit record, and the server skips transactions whose commit
  // record STARTS before the position it is told. So nothing is added: the next transaction starts
  // at or after that end.
  std::string message{'r'};
  append_be64(message, confirmed);
  append_be64(message, confirmed);
  append_be64(message, confirmed);
  append_be64(message, postgres_now());
  const bool wants_answer = clock::now() - last_heard > settings.silence_max / silence_parts;
  message.push_back(wants_answer ? '\1' : '\0');
  next_feedback = clock::now() + feedback_period;
  if (PQputCopyData(session.raw(), message.data(), static_cast<int>(message.size())) < 0 ||
      PQflush(session.raw()) < 0)
    return broken(end_of_stream());
  return {};
}

pg_result_of<void> replication_stream::state::send_feedback_if_due() {
  if (clock::now() < next_feedback)
    return {};
  return send_feedback();
}

pg_result_of<void> replication_stream::state::handle(std::string_view message) {
  if (message[0] == 'w' && message.size() > 25) { // start, end and time come before the message
    auto decoded = decoder.consume(message.substr(25));
    if (!decoded)
      return broken({trouble::transient, {}, std::move(decoded).error().message});
    return {};
  }
  if (message[0] == 'k' && message.size() == 18) {
    // The server has decoded all up to here and sent what it found, so outside of a transaction
    // nothing that ends before is still to come.
    if (!decoder.in_transaction())
      idle = std::max(idle, read_be64(message.data() + 1));
    return message[17] != 0 ? send_feedback() : pg_result_of<void>{};
  }
  return broken({trouble::transient, {}, "a replication message is malformed"});
}

/// Reads until a frame is full (true) or nothing more is there at once (false).
pg_result_of<bool> replication_stream::state::read_available() {
  bool dry = false; // libpq's buffer has no whole message, though the socket was just read
  while (decoder.pending_bytes() < settings.frame_bytes_max) {
    char* bytes = nullptr;
    const int size = PQgetCopyData(session.raw(), &bytes, 1);
    const copied_message message{bytes};
    if (size > 0) {
      dry = false;
      last_heard = clock::now();
      if (auto done = handle({bytes, static_cast<std::size_t>(size)}); !done)
        return broken(std::move(done).error());
      continue;
    }
    if (size < 0)
      return broken(end_of_stream());
    if (dry && wait_for(session.raw(), POLLIN, {}, {}) == waited::timed_out)
      return false;
    if (PQconsumeInput(session.raw()) == 0)
      return broken(end_of_stream());
    if (auto sent = send_feedback_if_due(); !sent) // one value may take its time
      return broken(std::move(sent).error());
    dry = true;
  }
  return true;
}

/// What the catalog could not tell now it may tell soon: it is locked, out of connections, slow.
/// False until then, as from place_relations(). A server that shuts down takes no new sessions, and
/// would wait for this one for ever: then, and if it lasts, the stream ends, to begin anew where it
/// was.
pg_result_of<bool> replication_stream::state::try_catalog_later(const pg_error& why) {
  catalog.drop(); // it may be in the middle of anything
  const auto now = clock::now();
  if (!catalog_fails_since)
    catalog_fails_since = now;
  const bool shuts_down = why.sqlstate.starts_with("57P");
  if (shuts_down || why.kind == trouble::fatal || now - *catalog_fails_since > catalog_patience)
    return broken({why.kind == trouble::fatal ? trouble::fatal : trouble::transient, why.sqlstate,
                   "the tables of the stream cannot be looked up: " + why.message});
  spdlog::warn("the tables of the stream cannot be looked up: {}; trying again in {} ms",
               why.message, catalog_retry.count());
  next_catalog_try = now + catalog_retry;
  catalog_retry = std::min(2 * catalog_retry, catalog_retry_max);
  return false;
}

/// Looks up which partitioned tables stand above the relations that were described, and what there
/// is to know of all of them. False if that cannot be told yet: their changes must then wait, or
/// they would be lost for the tables above.
pg_result_of<bool> replication_stream::state::place_relations() {
  const auto described = decoder.described();
  if (described.empty())
    return true;
  if (clock::now() < next_catalog_try)
    return false;
  const auto until =
      clock::now() +
      std::min<clock::duration>(catalog_max,
                                std::max<clock::duration>(catalog_least, 2 * feedback_period));
  std::vector<std::uint32_t> oids;
  for (const auto& [oid, xid] : described)
    oids.push_back(oid);
  const auto ask = [&]() -> pg_result_of<partition_places> {
    auto opened = catalog.open(until);
    if (!opened)
      return broken(std::move(opened).error());
    if (auto sent = send_feedback_if_due(); !sent)
      return broken(std::move(sent).error());
    return find_partition_places(**opened, oids, until);
  };
  const bool had_session = catalog.is_open();
  auto places = ask();
  if (!places && had_session) {
    catalog.drop(); // it may have died while it lay idle
    places = ask();
  }
  if (!places)
    return try_catalog_later(places.error());
  if (auto sent = send_feedback_if_due(); !sent)
    return broken(std::move(sent).error());
  // A transaction is streamed a moment before others see it. One that has made or attached the
  // table must have become visible; any other that did so had, before the table could be written
  // to. That wait has an end, in case our own confirmation is what the transaction waits for. What
  // else it has altered before it wrote is waited for, too, but not for long: the RECONCILER would
  // find that.
  const bool all_seen = std::all_of(described.begin(), described.end(), [&](const auto& each) {
    return each.xid == 0 || places->seen.sees(each.xid);
  });
  const bool all_settled = std::all_of(described.begin(), described.end(), [&](const auto& each) {
    const auto place = std::find_if(places->found.begin(), places->found.end(),
                                    [&](const auto& p) { return p.oid == each.oid; });
    return each.xid == 0 || places->seen.sees(each.xid) ||
           (place != places->found.end() && !place->in_change);
  });
  if (!all_seen &&
      waits_for_visibility < (all_settled ? visibility_waits_least : visibility_waits_max)) {
    ++waits_for_visibility;
    next_catalog_try = clock::now() + visibility_retry;
    return false;
  }
  if (!all_settled)
    spdlog::error("a transaction that has committed does not become visible; is a synchronous "
                  "standby missing? If it made a partition, shapes above may lack its rows");
  // Whatever is gone by now keeps the place that it had.
  std::vector<std::uint32_t> all = oids;
  for (const auto& place : places->found)
    for (const auto& ancestor : place.above)
      all.push_back(ancestor.oid);
  std::sort(all.begin(), all.end());
  all.erase(std::unique(all.begin(), all.end()), all.end());
  auto opened = catalog.open(until);
  if (!opened)
    return try_catalog_later(opened.error());
  if (auto told = tell_facts(**opened, std::move(all), until); !told)
    return try_catalog_later(told.error());
  for (const auto& place : places->found)
    decoder.place(place.oid, place.above);
  waits_for_visibility = 0;
  catalog_fails_since.reset();
  catalog_retry = catalog_retry_min;
  return true;
}

/// Puts what the catalog says of these tables into the frame, if it differs from what was last
/// said.
pg_result_of<void> replication_stream::state::tell_facts(connection& asked,
                                                         std::vector<std::uint32_t> oids,
                                                         deadline until) {
  const auto publication = settings.publication();
  // First the versions, so that what changes in between is told once too often, and not never.
  auto versions = find_versions(asked, publication, oids, until);
  if (!versions)
    return broken(std::move(versions).error());
  if (auto sent = send_feedback_if_due(); !sent)
    return sent;
  std::erase_if(oids, [&](std::uint32_t oid) {
    const auto now = versions->find(oid);
    const auto before = told_versions.find(oid);
    return now == versions->end() ||
           (before != told_versions.end() && before->second == now->second);
  });
  if (oids.empty())
    return {};
  auto facts = find_facts(asked, publication, oids, until);
  if (!facts)
    return broken(std::move(facts).error());
  decoder.tell(std::move(facts->catalog));
  for (const auto oid : oids)
    told_versions[oid] = std::move((*versions)[oid]);
  return {};
}

/// Whether a new slot is needed. Errors only mention slots and publications; a slot that could
/// still be used must not be given up for a word, as all shapes go with it.
bool replication_stream::state::is_proof_of_loss(const pg_error& why) {
  if (why.sqlstate == "42704" || why.sqlstate == "58P01")
    return true; // older than the publication; or the server has removed WAL itself
  const auto lost = is_slot_lost(session, settings.slot(), clock::now() + seconds{5});
  return lost && *lost;
}

/// Why the stream has ended; lets go of a slot that can never be used again.
pg_error replication_stream::state::end_of_stream() {
  streaming = false;
  auto* raw = session.raw();
  auto ended = next_result(raw, clock::now() + seconds{2});
  pg_error why{trouble::transient, {}, "PostgreSQL ended the replication stream"};
  const rows taken{ended ? *ended : nullptr};
  if (ended && PQresultStatus(*ended) == PGRES_FATAL_ERROR)
    why = result_error(raw, *ended);
  else if (PQstatus(raw) == CONNECTION_BAD)
    why = result_error(raw, nullptr);
  if (why.kind == trouble::slot_lost && PQstatus(raw) == CONNECTION_OK) {
    (void)all_results(raw, clock::now() + seconds{2});
    if (is_proof_of_loss(why))
      (void)drop_slot(session, settings.slot(), clock::now() + seconds{5});
    else
      why.kind = trouble::transient;
  }
  return why;
}

pg_result_of<void> replication_stream::state::begin_copy(lsn from) {
  const auto sql = "START_REPLICATION SLOT " + quote_identifier(settings.slot()) + " LOGICAL " +
                   to_pg_string(from) + " (proto_version '1', publication_names " +
                   quote_literal(quote_identifier(settings.publication())) + ", messages 'true')";
  if (PQsendQuery(session.raw(), sql.c_str()) == 0)
    return broken(result_error(session.raw(), nullptr));
  const auto until = clock::now() + answer_max;
  auto started = next_result(session.raw(), until);
  if (!started)
    return broken(std::move(started).error());
  const rows taken{*started};
  if (PQresultStatus(*started) == PGRES_COPY_BOTH)
    return {};
  auto why = result_error(session.raw(), *started);
  (void)all_results(session.raw(), until);
  return broken(std::move(why));
}

replication_stream::replication_stream(std::unique_ptr<state> s) : state_{std::move(s)} {}
replication_stream::replication_stream(replication_stream&&) noexcept = default;
replication_stream& replication_stream::operator=(replication_stream&&) noexcept = default;
replication_stream::~replication_stream() = default;

pg_result_of<replication_stream> replication_stream::open(const stream_settings& settings,
                                                          std::atomic<bool>& stop) {
  auto session = connection::open_replication(settings.url, clock::now() + connect_max);
  if (!session)
    return broken(std::move(session).error());
  auto taken = take_over(*session, settings, stop);
  if (!taken)
    return broken(std::move(taken).error());
  return replication_stream{
      std::make_unique<state>(settings, *std::move(session), *std::move(taken))};
}

const leadership& replication_stream::leader() const noexcept {
  return state_->leader;
}

pg_result_of<void> replication_stream::touch() {
  auto done = state_->session.command("SELECT 1", clock::now() + answer_max);
  if (!done)
    return broken(std::move(done).error());
  return {};
}

pg_result_of<void> replication_stream::start(lsn durable) {
  auto& s = *state_;
  // Positions below the slot's own are ignored by the server, ones above make it skip.
  const auto from = durable > s.leader.confirmed_flush ? durable : lsn{0};
  // The server's first keepalives may name earlier positions, down to the slot's own.
  s.idle = s.idle_told = std::max(s.idle, to_number(durable));
  const auto give_up = clock::now() + release_max;
  for (;;) {
    auto begun = s.begin_copy(from);
    if (begun)
      break;
    if (begun.error().sqlstate != "55006" || clock::now() >= give_up)
      return broken(std::move(begun).error());
    s.wait(0, clock::now() + release_period);
  }
  s.streaming = true;
  s.next_feedback = clock::now() + s.feedback_period;
  s.last_heard = clock::now();
  (void)s.catalog.open(clock::now() + catalog_max); // whoever needs it tries again
  return {};
}

pg_result_of<stream_event> replication_stream::next(deadline until, bool hurry) {
  auto& s = *state_;
  if (!s.streaming)
    return broken({trouble::transient, {}, "the replication stream is not running"});
  for (;;) {
    if (auto sent = s.send_feedback_if_due(); !sent)
      return broken(std::move(sent).error());
    if (auto up = s.check_server(); !up)
      return broken(std::move(up).error());
    auto full = s.read_available();
    if (!full)
      return broken(std::move(full).error());
    if (auto alive = s.check_silence(); !alive)
      return broken(std::move(alive).error());
    // The rest of a transaction follows at once, so a mere piece of one waits for it.
    const bool has_end = s.decoder.last_end() != s.taken_end;
    const bool due = *full || (has_end && hurry) || s.idle > s.idle_told;
    if (due && (*full || has_end)) {
      auto placed = s.place_relations();
      if (!placed)
        return broken(std::move(placed).error());
      if (!*placed) {
        const auto retry = std::min(until, s.next_catalog_try);
        if (auto paused = pause(retry); !paused)
          return broken(std::move(paused).error());
        if (clock::now() < retry || clock::now() >= until)
          return stream_event{};
        continue;
      }
    }
    if (due) {
      stream_event event;
      if (*full || has_end)
        event.transactions = s.decoder.take();
      s.taken_inside = *full && s.decoder.in_transaction();
      s.taken_end = s.decoder.last_end();
      if (s.idle > s.idle_told)
        event.idle_up_to = lsn{s.idle};
      s.idle_told = s.idle;
      return event;
    }
    if (s.wait_for_news(until) == waited::woken) {
      s.signal.lower();
      return stream_event{};
    }
    if (clock::now() >= until)
      return stream_event{};
  }
}

pg_result_of<void> replication_stream::pause(deadline until) {
  auto& s = *state_;
  for (;;) {
    if (auto sent = s.send_feedback_if_due(); !sent)
      return broken(std::move(sent).error());
    if (auto up = s.check_server(); !up)
      return broken(std::move(up).error());
    const bool unsent = PQflush(s.session.raw()) == 1;
    const auto outcome = s.wait(0, until);
    s.last_heard = clock::now(); // nobody listens here
    if (outcome == waited::woken) {
      s.signal.lower();
      return {};
    }
    if (outcome == waited::ready && !unsent) // nothing was asked of the socket, so it has failed
      return broken(s.end_of_stream());
    if (clock::now() >= until)
      return {};
  }
}

pg_result_of<void> replication_stream::confirm(lsn flushed) {
  auto& s = *state_;
  const auto received = std::max(s.idle, to_number(s.decoder.last_end()));
  const auto position = std::min(to_number(flushed), received);
  if (position <= s.confirmed)
    return {};
  s.confirmed = position;
  return s.streaming ? s.send_feedback() : pg_result_of<void>{};
}

void replication_stream::wake() noexcept {
  state_->signal.raise();
}

} // namespace busbar::postgres
