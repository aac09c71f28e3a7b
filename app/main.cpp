// app/main.cpp: the wiring diagram: read it and you know every part and what it depends on.
#include "actors/cluster_node.hpp"
#include "actors/flusher.hpp"
#include "actors/janitor.hpp"
#include "actors/materializer.hpp"
#include "actors/move_reader.hpp"
#include "actors/reconciler.hpp"
#include "actors/remote_desk.hpp"
#include "actors/replicator.hpp"
#include "actors/resolver.hpp"
#include "actors/session.hpp"
#include "actors/shape_directory.hpp"
#include "actors/snapshotter.hpp"
#include "actors/subset_reader.hpp"
#include "app/cleanup.hpp"
#include "app/cluster_report.hpp"
#include "app/cluster_status.hpp"
#include "app/doctor.hpp"
#include "app/health_check.hpp"
#include "app/joining.hpp"
#include "app/leading.hpp"
#include "app/node_view.hpp"
#include "app/policy_check.hpp"
#include "app/recovery.hpp"
#include "app/settings.hpp"
#include "app/stop_signal.hpp"
#include "base/memory_budget.hpp"
#include "http/server.hpp"
#include "monitoring/cluster_metrics.hpp"
#include "monitoring/exposer.hpp"
#include "monitoring/logging.hpp"

#include <spdlog/spdlog.h>
#include <unistd.h>

#include <array>
#include <atomic>
#include <cerrno>
#include <condition_variable>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <functional>
#include <iostream>
#include <memory>
#include <mutex>
#include <random>
#include <string>
#include <thread>

#include "gate/gatekeeper.hpp"

#ifdef __GLIBC__
#include <malloc.h>
#endif

namespace {

using namespace busbar;

/// Each is a thread and a connection; subsets are small, so they seldom wait for each other long.
constexpr std::size_t subset_readers = 2;
/// The same for rows that come into shapes by a subquery.
constexpr std::size_t move_readers = 2;

int complain(const error& why) {
  std::cerr << "busbar: " << why.message << std::endl;
  return EXIT_FAILURE;
}

int report_health(const app::invocation& call) {
  const auto health = app::ask_health(call.config);
  if (!health)
    return complain(health.error());
  std::cout << health->word << std::endl;
  return call.must_be_active && health->http_status != 200 ? EXIT_FAILURE : EXIT_SUCCESS;
}

/// Ends the process if an orderly stop takes longer than an orchestrator waits: a query that hangs
/// in a dead network must not. Nothing is lost by it, as nothing is by kill -9.
class stop_limit {
public:
  explicit stop_limit(std::chrono::seconds limit, int status)
      : thread_{[this, limit, status] {
          std::unique_lock guard{mutex_};
          if (!done_.wait_for(guard, limit, [this] { return is_done_; }))
            std::_Exit(status);
        }} {}
  ~stop_limit() {
    {
      const std::lock_guard guard{mutex_};
      is_done_ = true;
    }
    done_.notify_all();
    thread_.join();
  }
  stop_limit(const stop_limit&) = delete;
  stop_limit& operator=(const stop_limit&) = delete;

private:
  std::mutex mutex_;
  std::condition_variable done_;
  bool is_done_ = false;
  std::thread thread_;
};

/// The C library keeps what is free in the middle of its heap, unless it is told.
void give_back_memory() {
#ifdef __GLIBC__
  malloc_trim(0);
#endif
}

/// 32 digits.
std::string random_hex() {
  std::random_device random;
  std::string text;
  for (int i = 0; i < 4; ++i) {
    std::array<char, 9> part{};
    std::snprintf(part.data(), part.size(), "%08x", static_cast<unsigned>(random()));
    text += part.data();
  }
  return text;
}

/// Who leads again, or is to follow with another's storage, does so as a new process of the same
/// id: there is one way to join a cluster, and this is it.
constexpr int begin_again = -1;

cluster_settings cluster_of(const app::settings& config) {
  return {.self = config.cluster_address,
          .secret = config.cluster_secret,
          .members = {.addresses = config.cluster_peers, .dns = config.cluster_dns},
          .stream_id = config.stream_id,
          .version = BUSBAR_VERSION,
          .grace = config.cluster_grace};
}

/// What must not be logged, whatever a library or PostgreSQL makes of it. A password that is the
/// user's or the database's name is no secret, and hiding it would hide them.
std::vector<std::string> secrets_of(const app::settings& config) {
  std::vector<std::string> secrets;
  if (config.secret)
    secrets.push_back(*config.secret);
  if (!config.cluster_secret.empty())
    secrets.push_back(config.cluster_secret);
  secrets.insert(secrets.end(), config.more_secrets.begin(), config.more_secrets.end());
  for (const auto& text : {config.database_url, config.snapshot_database_url})
    if (const auto url = postgres::connection_url::parse(text);
        url && url->display().find(url->password()) == std::string::npos)
      secrets.push_back(url->password());
  return secrets;
}

int serve(const app::settings& config, const std::vector<std::string>& notes) {
  app::stop_signal stop; // before the first thread
  monitoring::set_up_logging({.format = config.log_format == "json" ? monitoring::log_format::json
                                                                    : monitoring::log_format::text,
                              .level = config.log_level,
                              .secrets = secrets_of(config)});
  spdlog::info("configuration:\n{}", app::describe(config));
  for (const auto& note : notes)
    spdlog::warn("{}", note);
  const auto cores = std::max(1u, std::thread::hardware_concurrency());
  const std::size_t materializers =
      config.materializers > 0 ? config.materializers : std::max(1u, cores / 2);
  const std::size_t io_threads =
      config.io_threads > 0 ? config.io_threads : std::max(1u, cores / 2);

  auto url = postgres::connection_url::parse(config.database_url);
  if (!url)
    return complain(std::move(url).error());
  auto snapshot_url = postgres::connection_url::parse(config.snapshot_database_url);
  if (!snapshot_url)
    return complain(std::move(snapshot_url).error());

  monitoring::metrics metrics;
  std::unique_ptr<gate::gatekeeper>
      gatekeeper; // before all that takes time: it may be misconfigured
  if (config.gate.active()) {
    auto started = gate::gatekeeper::start(config.gate, metrics.registry());
    if (!started)
      return complain(std::move(started).error());
    gatekeeper = std::move(*started);
  }
  const bool clustered = config.clustered();
  const storage::store_settings store_settings{
      .directory = config.storage_dir,
      .cache_bytes = config.cache_bytes / 4,
      .on_fatal = [&stop](const error& why) { stop.fail(why); },
      .replicated_log_bytes = clustered ? config.cluster_log_bytes : 0,
      .follows = clustered};
  spdlog::info(
      "memory: up to {} MiB for what is on its way, {} MiB for caches, RocksDB's among them, "
      "and {} MiB for RocksDB's write buffers",
      config.memory_bytes >> 20, config.cache_bytes >> 20, store_settings.write_buffer_bytes >> 20);
  auto store = storage::store::open(store_settings);
  if (!store)
    return complain(std::move(store).error());
  node_status status{materializers};
  shape_index index;
  std::atomic<bool> begins_again{false};
  std::unique_ptr<monitoring::cluster_metrics> cluster_metrics;
  std::unique_ptr<cluster_node> node;
  if (clustered) {
    cluster_metrics = std::make_unique<monitoring::cluster_metrics>(*metrics.registry());
    auto started = cluster_node::start(cluster_of(config), {.status = &status,
                                                            .index = &index,
                                                            .clients = nullptr,
                                                            .on_begin_again =
                                                                [&](const std::string&) {
                                                                  begins_again = true;
                                                                  stop.fail({});
                                                                },
                                                            .metrics = cluster_metrics.get()});
    if (!started)
      return complain(std::move(started).error());
    node = std::move(*started);
    if (auto joined = app::join(*node, store_settings, *store, [&stop] { return stop.is_set(); });
        !joined)
      return complain(std::move(joined).error());
  }
  const auto first_key = clustered ? cluster::control_key_of(config.cluster_secret) : std::string{};
  auto control_key = (*store)->control_key(first_key);
  if (!control_key)
    return complain(std::move(control_key).error());
  const std::string secret = *control_key;
  const cluster::control_codec control{std::move(*control_key), config.stream_id};
  sql::program_pool clauses;
  stored_shapes shapes{clauses};
  auto recovered = app::recover_shapes(
      **store, shapes, clustered ? storage::recovery::look : storage::recovery::repair);
  if (!recovered)
    return complain(std::move(recovered).error());

  auto durable = (*store)->durable();
  if (!durable)
    return complain(std::move(durable).error());
  // What clients were told before the restart they may be told again before PostgreSQL answers.
  if (*durable > lsn{0})
    status.restart(to_number(*durable) - 1);
  piece_cache cache{config.cache_bytes / 2};
  slot_report slot;
  monitoring::tenants tenants{config.tenants_listed};
  const tenant_rule tenant_rule{&tenants, config.tenant_column};
  audience listeners;
  const memory_budget memory{config.memory_bytes};
  postgres::stream_settings stream{.url = *url, .stream_id = config.stream_id};
  stream.manual_publishing = config.manual_publishing;
  stream.temporary_slot = config.temporary_slot;
  stream.failover_slot = config.failover_slot;
  if (config.temporary_slot && config.random_slot_name)
    stream.slot_name = "busbar_slot_" + random_hex();
  const app::node_view view{config, metrics, **store,   status,        index,
                            slot,   tenants, listeners, stream.slot(), node.get()};
  monitoring::scraper scraper{metrics, app::node_collectors(view)};
  std::unique_ptr<monitoring::exposer> exposer;
  if (config.metrics_port != 0) {
    auto started = monitoring::exposer::start(config.metrics_address, config.metrics_port,
                                              app::node_pages(view, scraper));
    if (!started)
      return complain(std::move(started).error());
    exposer = std::move(*started);
  }

  publication_gate publishing;
  caf::actor_system_config caf_config;
  // Workers wait on one queue; CAF's default lets idle ones look for work in a loop.
  caf_config.set("scheduler.policy", caf::atom("sharing"));
  caf_config.set("scheduler.max-threads", std::max<std::size_t>(2, cores));
  caf::actor_system system{caf_config};
  const auto others = std::make_shared<cast>();
  for (std::uint32_t i = 0; i < materializers; ++i)
    others->materializers.push_back(
        spawn_materializer(system,
                           {.number = i,
                            .store = store->get(),
                            .status = &status,
                            .metrics = &metrics,
                            .control = &control,
                            .chunk_bytes_max = config.chunk_bytes,
                            .entry_bytes_max = memory.entries(materializers),
                            .aside_bytes_max = memory.aside(materializers),
                            .notes_bytes_max = memory.notes(materializers),
                            .spool_directory = config.storage_dir,
                            .spool_bytes_max = config.spool_bytes / materializers,
                            .parked_max = config.parked_shape,
                            .secret = secret,
                            .has_followers = clustered},
                           others));
  durable_callback on_durable;
  if (node)
    on_durable = [&node](lsn position, std::uint64_t epoch) { node->flushed(position, epoch); };
  others->flusher =
      spawn_flusher(system, **store, status, metrics, materializers, others, on_durable);
  others->resolver = spawn_resolver(system, *url, **store, status, clauses);
  std::function<void()> wait_for_followers;
  if (node)
    wait_for_followers = [&node] { node->wait_for_followers(); };
  for (std::size_t i = 0; i < config.snapshot_connections; ++i)
    others->snapshotters.push_back(spawn_snapshotter(system,
                                                     {.url = *url,
                                                      .snapshot_url = *snapshot_url,
                                                      .publication = stream.publication(),
                                                      .by_hand = config.manual_publishing,
                                                      .gate = &publishing,
                                                      .store = store->get(),
                                                      .status = &status,
                                                      .metrics = &metrics,
                                                      .control = &control,
                                                      .chunk_bytes_max = config.chunk_bytes,
                                                      .secret = secret,
                                                      .wait_for_followers = wait_for_followers,
                                                      .slow_query = config.slow_query},
                                                     others));
  const auto budget = std::make_shared<subset_budget>(memory.subsets());
  for (std::size_t i = 0; i < subset_readers; ++i)
    others->subset_readers.push_back(spawn_subset_reader(system,
                                                         {.url = *snapshot_url,
                                                          .budget = budget,
                                                          .status = &status,
                                                          .secret = secret,
                                                          .metrics = &metrics,
                                                          .slow_query = config.slow_query},
                                                         others));
  for (std::size_t i = 0; i < move_readers; ++i)
    others->move_readers.push_back(spawn_move_reader(system,
                                                     {.url = *url,
                                                      .snapshot_url = *snapshot_url,
                                                      .status = &status,
                                                      .control = &control,
                                                      .metrics = &metrics,
                                                      .slow_query = config.slow_query,
                                                      .bytes_max = memory.moves(move_readers)},
                                                     others));
  others->directory = spawn_directory(system,
                                      {.store = store->get(),
                                       .status = &status,
                                       .metrics = &metrics,
                                       .index = &index,
                                       .tenants = tenant_rule},
                                      others);
  others->reconciler =
      spawn_reconciler(system,
                       {.url = *url,
                        .publication = stream.publication(),
                        .slot = stream.slot(),
                        .index = &index,
                        .status = &status,
                        .period = config.reconcile_period,
                        .unused = {.store = store->get(),
                                   .index = &index,
                                   .gate = &publishing,
                                   .status = &status,
                                   .publication = stream.publication(),
                                   .delay = config.manual_publishing ? std::chrono::milliseconds{0}
                                                                     : config.unused_table},
                        .report = config.metrics_port == 0 ? nullptr : &slot,
                        .metrics = &metrics},
                       others);
  others->janitor = spawn_janitor(
      system,
      {.store = store->get(),
       .index = &index,
       .status = &status,
       .limits = {.shapes_max = config.shapes_max,
                  .bytes_max = config.storage_bytes_max,
                  .idle = std::chrono::ceil<std::chrono::seconds>(config.shape_idle)},
       .period = config.expiry_period,
       .compacts = config.compaction,
       .compaction = {.chunk_bytes_max = config.chunk_bytes, .horizon = config.compaction_horizon},
       .metrics = &metrics},
      others);
  feed_environment feeding{.stream = stream,
                           .store = store->get(),
                           .status = &status,
                           .metrics = &metrics,
                           .shapes = &index,
                           .frame_bytes_max = memory.frames(),
                           .on_fatal = [&stop](const error& why) { stop.fail(why); }};
  std::unique_ptr<app::leading> leading;
  if (node) {
    others->remote_desk = spawn_remote_desk(system, **store, index, others);
    others->line = node->line();
    leading = std::make_unique<app::leading>(system, *node, **store, index, shapes, others, secret);
    feeding.may_lead = [&node] { return node->may_lead(); };
    feeding.may_depose = [&node] { return node->may_depose(); };
    feeding.may_lead_without = [&node] { return node->may_lead_without(); };
    feeding.on_lead = [&leading](std::uint64_t term) { return leading->begin(term); };
    feeding.on_kept = [&node](lsn position, std::uint64_t epoch) {
      node->flushed(position, epoch);
    };
    node->set_confirm([&others](lsn position, std::uint64_t epoch) {
      caf::anon_send(others->replicator, flushed_atom_v, position, epoch);
    });
  }
  others->replicator = spawn_replicator(system, feeding, others);
  if (node) {
    shape_list all;
    for (const auto& shape : *recovered)
      all.push_back(shape.shape);
    spdlog::info("{} shapes in {}", all.size(), config.storage_dir);
    caf::anon_send(others->directory, follow_atom_v, std::move(all), shape_list{});
    recovered->clear();
    recovered->shrink_to_fit();
    give_back_memory();
    node->follow(system, **store, others, shapes);
  } else {
    std::vector<adoption_list> shares(materializers);
    shape_list all;
    for (auto& shape : *recovered) {
      tenant_rule.assign(*shape.shape);
      all.push_back(shape.shape);
      shares[others->number_of(shape.shape->id())].push_back(std::move(shape));
    }
    caf::scoped_actor waiting{system};
    for (std::size_t i = 0; i < materializers; ++i)
      waiting->request(others->materializers[i], caf::infinite, adopt_atom_v, std::move(shares[i]))
          .receive([](bool) {}, [](const caf::error&) {});
    spdlog::info("{} shapes in {}", all.size(), config.storage_dir);
    caf::anon_send(others->directory, adopt_atom_v, std::move(all));
    caf::anon_send(others->janitor, adopt_atom_v);
    recovered->clear();
    recovered->shrink_to_fit();
    give_back_memory(); // a start needs more of it than what comes
  }
  // An actor that ends while we serve is a fault of ours; starting again from disk is sound.
  const auto supervisor = system.spawn([&stop, others](caf::event_based_actor* self) {
    const auto watch = [self](const auto& actor) { self->monitor(actor); };
    watch(others->replicator);
    watch(others->directory);
    watch(others->resolver);
    watch(others->flusher);
    watch(others->reconciler);
    watch(others->janitor);
    if (others->remote_desk)
      watch(others->remote_desk);
    for (const auto& snapshotter : others->snapshotters)
      watch(snapshotter);
    for (const auto& reader : others->subset_readers)
      watch(reader);
    for (const auto& reader : others->move_readers)
      watch(reader);
    for (const auto& materializer : others->materializers)
      watch(materializer);
    self->set_down_handler([&stop](const caf::down_msg& down) {
      stop.fail({errc::corrupt, "a part of the process has failed: " + to_string(down.reason)});
    });
    return caf::behavior{[](tick_atom) {}};
  });
  const auto end_actors = [&] {
    caf::anon_send_exit(supervisor, caf::exit_reason::user_shutdown);
    caf::anon_send_exit(others->replicator, caf::exit_reason::user_shutdown);
    caf::anon_send_exit(others->directory, caf::exit_reason::user_shutdown);
    caf::anon_send_exit(others->resolver, caf::exit_reason::user_shutdown);
    caf::anon_send_exit(others->reconciler, caf::exit_reason::user_shutdown);
    caf::anon_send_exit(others->janitor, caf::exit_reason::user_shutdown);
    caf::anon_send_exit(others->flusher, caf::exit_reason::user_shutdown);
    for (const auto& snapshotter : others->snapshotters)
      caf::anon_send_exit(snapshotter, caf::exit_reason::user_shutdown);
    for (const auto& reader : others->subset_readers)
      caf::anon_send_exit(reader, caf::exit_reason::user_shutdown);
    for (const auto& reader : others->move_readers)
      caf::anon_send_exit(reader, caf::exit_reason::user_shutdown);
    for (const auto& materializer : others->materializers)
      caf::anon_send_exit(materializer, caf::exit_reason::user_shutdown);
    if (others->remote_desk)
      caf::anon_send_exit(others->remote_desk, caf::exit_reason::user_shutdown);
    system.await_all_actors_done();
    *others = {};
  };

  std::function<std::string()> cluster_report;
  if (node)
    cluster_report = [&node] { return app::cluster_json(*node); };
  auto server = http::server::start(
      {.address = config.listen_address,
       .port = config.port,
       .io_threads = io_threads,
       .secret = config.secret,
       .more_secrets = config.more_secrets,
       .gate = gatekeeper.get(),
       .allow_delete = config.integration_testing,
       .compression = config.compression,
       .long_poll = config.long_poll,
       .send_timeout = config.send_timeout,
       .idle_timeout = config.idle_timeout,
       .initial_requests_max = config.initial_requests_max,
       .existing_requests_max = config.existing_requests_max,
       .cache_max_age = config.cache_max_age,
       .cache_stale_age = config.cache_stale_age,
       .body_file_bytes_max = config.cache_bytes / 4,
       .held_bytes_max = memory.unsent(),
       .version = BUSBAR_VERSION,
       .cluster_report = cluster_report},
      [&](http::post_function post) {
        return start_session(system,
                             {.others = others,
                              .store = store->get(),
                              .index = &index,
                              .status = &status,
                              .cache = &cache,
                              .metrics = &metrics,
                              .long_poll = config.long_poll,
                              .listeners = &listeners},
                             std::move(post));
      },
      metrics);
  if (!server) {
    const stop_limit limit{std::chrono::seconds{8}, EXIT_FAILURE};
    if (node)
      node->stop();
    end_actors();
    return complain(std::move(server).error());
  }
  caf::anon_send(others->replicator, flushed_atom_v, lsn{0}, std::uint64_t{0}); // begin
  spdlog::info("busbar {} serves http://{}:{}/v1/shape", BUSBAR_VERSION, config.listen_address,
               (*server)->port());

  const auto failure = stop.wait();
  if (begins_again)
    spdlog::info("beginning again");
  else if (failure)
    complain(*failure);
  else
    spdlog::info("stopping");
  const int outcome = begins_again ? begin_again : failure ? EXIT_FAILURE : EXIT_SUCCESS;
  const stop_limit limit{std::chrono::seconds{8}, failure ? EXIT_FAILURE : EXIT_SUCCESS};
  if (node) {
    // The stream first, so that another can lead while our clients are told to go.
    caf::anon_send_exit(others->replicator, caf::exit_reason::user_shutdown);
    node->drain();
  }
  (*server)->drain(std::chrono::seconds{3});
  (*server)->stop();
  server->reset();
  if (node)
    node->stop();
  end_actors();
  return outcome;
}

} // namespace

int main(int argc, char** argv) {
  std::vector<std::string> arguments{argv + 1, argv + argc};
  std::vector<std::string> environment;
  for (char** entry = environ; *entry; ++entry)
    environment.emplace_back(*entry);
  auto call = app::parse_invocation(arguments, environment);
  if (!call)
    return complain(std::move(call).error());
  switch (call->what) {
  case app::command::print_help:
  case app::command::print_version:
    std::cout << call->text << std::endl;
    return EXIT_SUCCESS;
  case app::command::doctor:
    return app::run_doctor(*call, std::cout);
  case app::command::cleanup:
    return app::run_cleanup(*call, std::cout, std::cerr);
  case app::command::health:
    return report_health(*call);
  case app::command::check_policy:
    return app::run_policy_check(*call, std::cin, std::cout, std::cerr);
  case app::command::cluster_status:
    return app::run_cluster_status(*call, std::cout, std::cerr);
  case app::command::serve:
    break;
  }
  const int outcome = serve(call->config, call->notes);
  if (outcome != begin_again)
    return outcome;
  execv("/proc/self/exe", argv);
  return complain({errc::unavailable, std::string{"cannot begin again: "} + std::strerror(errno)});
}
