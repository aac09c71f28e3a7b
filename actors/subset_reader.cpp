#include "actors/subset_reader.hpp"

#include "actors/caf_error.hpp"
#include "actors/kept_session.hpp"
#include "actors/slow_queries.hpp"
#include "postgres/snapshot_reader.hpp"
#include "shapes/entry.hpp"
#include "shapes/tagged_rows.hpp"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <future>
#include <optional>
#include <random>
#include <thread>

namespace busbar {

namespace {

using std::chrono::seconds;
using std::chrono::steady_clock;

constexpr seconds begin_patience{10};
constexpr seconds first_row_patience{30};
constexpr seconds stall_patience{20};
constexpr seconds covers_patience{10};
/// Other subsets wait behind one that waits for a lock.
constexpr seconds lock_patience{2};
/// A snapshot is taken anew if it is older than what the client has.
constexpr std::chrono::milliseconds retry_pause_max{50};
constexpr std::size_t charge_step = 256 * 1024;

/// A body in the making, and its part of the budget.
struct charged_body {
  explicit charged_body(std::shared_ptr<subset_budget> from) : budget{std::move(from)} {}
  charged_body(const charged_body&) = delete;
  charged_body& operator=(const charged_body&) = delete;
  ~charged_body() { budget->bytes.fetch_sub(charged, std::memory_order_relaxed); }

  /// False if the budget is used up.
  bool charge() {
    while (charged < bytes.size()) {
      const auto before = budget->bytes.fetch_add(charge_step, std::memory_order_relaxed);
      charged += charge_step;
      if (before + charge_step > budget->bytes_max)
        return false;
    }
    return true;
  }

  std::string bytes;
  std::size_t charged = 0;
  std::shared_ptr<subset_budget> budget;
};

subset_outcome failed(error why, bool said_by_postgres = false) {
  return {.body = nullptr,
          .in = coding::identity,
          .why = std::move(why),
          .said_by_postgres = said_by_postgres,
          .unreachable = false};
}

subset_outcome given_up() {
  return failed({errc::unavailable, "nobody waits for this subset"});
}

/// Its words name hosts and databases, which are not for clients.
subset_outcome no_database(const postgres::pg_error& what) {
  spdlog::warn("subset reader: {}", what.message);
  return {.body = nullptr,
          .in = coding::identity,
          .why = {errc::unavailable, "the database is unreachable at the moment"},
          .said_by_postgres = false,
          .unreachable = true};
}

subset_outcome failed(const postgres::pg_error& what) {
  if (what.sqlstate == "42883")
    return failed(
        {errc::invalid_argument, "a column has a type that has no order", "subset.order_by"});
  spdlog::info("a subset query failed: {}", what.to_error().message);
  if (auto why = what.of_clause("subset.where"))
    return failed(*std::move(why), true);
  if (what.sqlstate.empty() || what.lost())
    return no_database(what);
  return failed(what.for_clients());
}

std::string opening(const postgres::snapshot_reader& snap, std::uint32_t mark) {
  const auto& sees = snap.visibility();
  std::string out = "{\"metadata\":{\"snapshot_mark\":" + std::to_string(mark) +
                    ",\"database_lsn\":\"" + std::to_string(to_number(snap.wal_position())) +
                    "\",\"xip_list\":[";
  for (std::size_t i = 0; i < sees.xip.size(); ++i) {
    out += i == 0 ? "\"" : ",\"";
    out += std::to_string(sees.xip[i]);
    out += '"';
  }
  return out + "],\"xmax\":\"" + std::to_string(sees.xmax) + "\",\"xmin\":\"" +
         std::to_string(sees.xmin) + "\"}, \"data\": [";
}

struct subset_reader_state {
  static constexpr const char* name = "subset_reader";
  explicit subset_reader_state(subset_reader_actor::pointer self) : self{self} {}

  subset_outcome serve(const subset_task& task) {
    const auto begin = steady_clock::now();
    std::optional<monitoring::gauge_hold> running;
    if (env->metrics != nullptr)
      running.emplace(env->metrics->subsets_running);
    rows_read = 0;
    auto outcome = read(task);
    if (env->metrics == nullptr || task.abandoned)
      return outcome;
    const auto took = steady_clock::now() - begin;
    env->metrics->subset_wait.Observe(std::chrono::duration<double>(begin - task.asked).count());
    env->metrics->subset_seconds.Observe(std::chrono::duration<double>(took).count());
    if (!outcome.body)
      env->metrics->subset_failures.Increment();
    const auto& shape = *task.shape;
    const auto also = task.what.filter ? task.what.filter->to_sql() : std::string_view{};
    slow_queries{env->metrics, env->slow_query}.note(
        "subset", *shape.definition().table, also, took, rows_read,
        {.request_id = task.name.id,
         .trace_id = task.name.trace,
         .handle = shape.handle(),
         .tenant = shape.tenant() ? std::string_view{shape.tenant()->name} : std::string_view{}});
    return outcome;
  }

  subset_outcome read(const subset_task& task) {
    for (std::chrono::milliseconds pause{1}; steady_clock::now() < task.give_up;
         pause = std::min(2 * pause, retry_pause_max)) {
      if (task.abandoned)
        return given_up();
      const auto& filter = task.shape->definition().filter;
      const bool asks_subqueries = filter && filter->subqueries() != nullptr;
      auto snap = session->use(steady_clock::now() + begin_patience, [&](auto& open, auto until) {
        return postgres::snapshot_reader::begin(open, until, lock_patience, asks_subqueries);
      });
      if (!snap)
        return session->usable() ? failed(snap.error()) : no_database(snap.error());
      auto covers = sees_all(task, snap->visibility());
      if (!covers) {
        session->drop();
        return failed(std::move(covers).error());
      }
      if (*covers) {
        auto outcome = read_rows(task, *snap);
        if (outcome && outcome->why.code == errc::must_refetch)
          self->send(others->reconciler, check_atom_v, task.shape);
        if (const auto ended = snap->finish(steady_clock::now() + begin_patience); !ended)
          session->drop();
        if (!outcome)
          continue;
        return *std::move(outcome);
      }
      if (const auto ended = snap->finish(steady_clock::now() + begin_patience); !ended)
        return failed(ended.error());
      std::this_thread::sleep_for(pause);
    }
    return failed({errc::unavailable, "subsets cannot be read at the moment: try again"});
  }

  /// A commit can be streamed before new snapshots see it: its backend may wait for a synchronous
  /// standby. A client that has its changes must not get rows without them.
  result<bool> sees_all(const subset_task& task, const snapshot& visibility) {
    if (env->status->now() == node_status::phase::following)
      return leader_says(task, visibility);
    caf::scoped_actor waiting{self->system()};
    result<bool> outcome = false;
    waiting
        ->request(others->materializer_of(task.shape->id()), covers_patience, covers_atom_v,
                  visibility, task.seen, task.shape->id())
        .receive([&](bool all) { outcome = all; },
                 [&](const caf::error& why) { outcome = fail(from_caf(why)); });
    return outcome;
  }

  /// Only the leader knows which transactions have been streamed of late.
  result<bool> leader_says(const subset_task& task, const snapshot& visibility) {
    const auto said = std::make_shared<std::promise<result<bool>>>();
    auto answer = said->get_future();
    others->line->ask(
        cluster::covers_question{
            .shape = task.shape->id(), .sees = visibility, .upto = to_number(task.seen)},
        steady_clock::now() + covers_patience, [said](const result<cluster::answer>& word) {
          if (!word)
            said->set_value(fail(word.error()));
          else if (word->why.code != errc::ok)
            said->set_value(fail(word->why));
          else
            said->set_value(word->yes);
        });
    return answer.get();
  }

  /// Nullopt if another snapshot is needed.
  std::optional<subset_outcome> read_rows(const subset_task& task,
                                          postgres::snapshot_reader& snap) {
    const auto& shape = task.shape->definition();
    const auto mark = static_cast<std::uint32_t>(random() & 0x7fffffffu);
    const auto mark_header = ",\"snapshot_mark\":" + std::to_string(mark);
    tagged_rows tagged{shape, env->secret, task.shape->handle()};
    std::string headers;
    auto body = std::make_shared<charged_body>(env->budget);
    auto& out = body->bytes;
    out = opening(snap, mark);

    entry_encoder encoder{*shape.table, shape.selected, shape.replica_full};
    const auto text = [](const auto& filter) {
      return filter ? filter->to_sql() : std::string_view{};
    };
    const postgres::snapshot_query query{.table = shape.table.get(),
                                         .columns = tagged.columns(),
                                         .where = text(shape.filter),
                                         .also = text(task.what.filter),
                                         .order_by = task.what.order_by,
                                         .limit = task.what.limit,
                                         .offset = task.what.offset,
                                         .stop = &task.abandoned,
                                         .expressions = tagged.expressions()};
    bool first = true;
    std::optional<error> stopped;
    const auto add_row = [&](std::span<const sql::cell> cells) {
      ++rows_read;
      if (!std::exchange(first, false))
        out += ',';
      headers = mark_header;
      const auto shown = tagged.read(cells, headers);
      encoder.append_snapshot_row(out, shown, headers);
      if (out.size() > env->body_bytes_max)
        stopped = error{errc::invalid_argument,
                        "the subset is larger than " + std::to_string(env->body_bytes_max) +
                            " bytes: ask for fewer rows",
                        "subset.limit"};
      else if (!body->charge())
        stopped = error{errc::unavailable, "too many large subsets are being sent: try again"};
      else if (task.abandoned || steady_clock::now() > task.give_up)
        stopped = error{errc::unavailable, "the subset takes too long"};
      return !stopped;
    };
    const auto until = std::min(steady_clock::now() + first_row_patience, task.give_up);
    const auto copied = snap.copy(query, until, stall_patience, add_row);
    if (stopped)
      return failed(std::move(*stopped));
    if (!copied && task.abandoned)
      return given_up();
    if (!copied && copied.error().sqlstate == postgres::lost_rows)
      return std::nullopt;
    if (!copied)
      return failed(copied.error());
    out += "]}";
    const bool small = task.accepts == coding::identity || out.size() < coding_bytes_min;
    if (!small)
      out = compress_whole(task.accepts, out);
    return subset_outcome{.body = shared_bytes{body, &out},
                          .in = small ? coding::identity : task.accepts,
                          .why = {},
                          .said_by_postgres = false,
                          .unreachable = false};
  }

  subset_reader_actor::pointer self;
  std::optional<subset_reader_environment> env;
  cast_ptr others;
  std::optional<kept_session> session; ///< Never empty.
  std::mt19937 random{std::random_device{}()};
  std::uint64_t rows_read = 0; ///< For the present task.
};

} // namespace

subset_reader_actor spawn_subset_reader(caf::actor_system& system,
                                        subset_reader_environment environment, cast_ptr others) {
  return system.spawn<caf::detached>(
      [environment = std::move(environment),
       others = std::move(others)](subset_reader_actor::stateful_pointer<subset_reader_state> self)
          -> subset_reader_actor::behavior_type {
        self->state.env = environment;
        self->state.session.emplace(environment.url, "subset");
        self->state.others = others;
        return {
            [self](subset_atom, const subset_task_ptr& task) { return self->state.serve(*task); }};
      });
}

} // namespace busbar
