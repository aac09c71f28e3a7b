// tests/unit/actors/materializer_fixture.hpp: a real MATERIALIZER on a real store; its neighbours
// only write down what they are told. No threads: messages run when the test says so.
#pragma once

#include "actors/caf_error.hpp"
#include "actors/materializer.hpp"
#include "tests/unit/actors/made_shape.hpp"
#include "tests/unit/schema/frame_builder.hpp"
#include "tests/unit/storage/store_fixture.hpp"

#include <caf/scheduler/test_coordinator.hpp>

#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

namespace busbar::testing {

/// What came of a request; neither yet means that it is still waiting.
template <class T>
struct answer {
  std::optional<T> value;
  std::optional<error> failed;
  bool pending() const { return !value && !failed; }
};

class MaterializerTest : public StoreTest {
protected:
  static constexpr std::uint32_t oid = 16384;
  static constexpr std::uint32_t other_oid = 20000;

  void SetUp() override {
    StoreTest::SetUp();
    start();
  }
  void TearDown() override { stop(); }

  // -- the node -----------------------------------------------------------------------------------

  void start() {
    caf::actor_system_config config;
    config.set("scheduler.policy", caf::atom("testing"));
    system_ = std::make_unique<running>(std::move(config));
    scheduler_ = dynamic_cast<caf::scheduler::test_coordinator*>(&system_->system.scheduler());
    ASSERT_NE(scheduler_, nullptr);
    others_ = std::make_shared<cast>();
    others_->directory = spawn_directory();
    others_->flusher = spawn_flusher();
    others_->janitor = spawn_janitor();
    others_->replicator = spawn_replicator();
    others_->materializers.push_back(spawn_materializer(system_->system,
                                                        {.number = 0,
                                                         .store = store_.get(),
                                                         .status = &status_,
                                                         .metrics = &metrics_,
                                                         .control = &codec_,
                                                         .chunk_bytes_max = chunk_bytes_max_,
                                                         .entry_bytes_max = entry_bytes_max_,
                                                         .aside_bytes_max = aside_bytes_max_,
                                                         .spool_directory = directory_.path(),
                                                         .spool_bytes_max = spool_bytes_max_},
                                                        others_));
    run();
    EXPECT_TRUE(ask<bool>(adopt_atom_v, adoption_list{})->value); // it leads
  }
  void stop() {
    if (!system_)
      return;
    run();
    for (const auto& session : sessions_)
      caf::anon_send_exit(session->handle, caf::exit_reason::user_shutdown);
    sessions_.clear();
    caf::anon_send_exit(others_->directory, caf::exit_reason::user_shutdown);
    caf::anon_send_exit(others_->flusher, caf::exit_reason::user_shutdown);
    caf::anon_send_exit(others_->janitor, caf::exit_reason::user_shutdown);
    caf::anon_send_exit(others_->replicator, caf::exit_reason::user_shutdown);
    caf::anon_send_exit(materializer(), caf::exit_reason::user_shutdown);
    run();
    *others_ = {};
    system_.reset();
  }
  /// The process dies and comes back; the shapes are those that storage still has.
  void crash() {
    stop();
    reopen();
    start();
    adoption_list found;
    shapes_.clear();
    for (auto& from : recover()) {
      auto shape =
          std::make_shared<shape_state>(from.id, from.record.handle, *define_shape({}, items()));
      shape->update([&](shape_progress& p) {
        p.head = from.head;
        p.started = p.complete = true;
      });
      found.push_back({.shape = shape,
                       .created_lsn = from.record.created_lsn,
                       .visibility = std::make_shared<const snapshot>(from.record.visibility),
                       .splice_passed = from.splice_passed,
                       .open_chunk_bytes = from.open_chunk_bytes,
                       .known = from.known});
      shapes_.push_back(shape);
    }
    EXPECT_TRUE(ask<bool>(adopt_atom_v, found)->value);
  }
  /// The stream begins anew.
  void reconnect() { EXPECT_TRUE(ask<bool>(reset_atom_v)->value.value_or(false)); }

  caf::actor_system& system() { return system_->system; }
  const materializer_actor& materializer() const { return others_->materializers[0]; }
  void run() { scheduler_->run(); }
  /// What was put off for a while comes now.
  void retry() {
    scheduler_->trigger_timeouts();
    run();
  }

  template <class Result, class... Args>
  std::shared_ptr<const answer<Result>> ask(Args... args) {
    auto out = std::make_shared<answer<Result>>();
    system_->system.spawn([out, target = materializer(), args...](caf::event_based_actor* self) {
      self->request(target, caf::infinite, args...)
          .then([out](const Result& value) { out->value = value; },
                [out](const caf::error& why) { out->failed = from_caf(why); });
    });
    run();
    return out;
  }
  void apply(const frame_builder& built) {
    caf::anon_send(materializer(), apply_atom_v, built.build());
    run();
  }

  void note(const catalog_facts& found) {
    caf::anon_send(materializer(), note_atom_v, std::make_shared<const catalog_facts>(found));
    run();
  }

  // -- shapes -------------------------------------------------------------------------------------

  std::string creation_of(const shape_state& shape) const {
    return codec_.encode({.term = 1, .what = cluster::create_shapes{{shape.handle(), "identity"}}});
  }
  std::shared_ptr<const answer<lsn>> expect(const shape_ptr& shape) {
    return ask<lsn>(expect_atom_v, shape_list{shape});
  }
  std::shared_ptr<const answer<bool>> splice(const shape_ptr& shape, const snapshot& sees) {
    auto facts = std::make_shared<const table_facts>(facts_of(*shape->definition().table));
    return ask<bool>(splice_atom_v, shape_list{shape}, sees, facts_ptr{std::move(facts)});
  }
  /// Creation message at `commit_lsn`, by transaction `xid`.
  void create_at(const shape_ptr& shape, std::uint64_t commit_lsn, std::uint32_t xid) {
    apply(frame_builder{}.begin(commit_lsn, xid).message(creation_of(*shape)).commit());
  }
  /// The whole way to a live shape; its snapshot sees all below xid 110 and none above.
  shape_ptr live_shape(std::uint64_t id, const shape_request& request = {}) {
    const auto shape = made_shape(id, request);
    const auto expecting = expect(shape);
    create_at(shape, 100, 109);
    EXPECT_TRUE(expecting->value);
    EXPECT_EQ(splice(shape, {.xmin = 110, .xmax = 110, .xip = {}})->value, true);
    auto stored = record(shape->handle());
    stored.created_lsn = 100;
    stored.visibility = {.xmin = 110, .xmax = 110, .xip = {}};
    EXPECT_TRUE(store_->finish_snapshots(std::array{std::pair{shape->id(), stored}}, false));
    return shape;
  }
  std::vector<std::string> log_of(const shape_ptr& shape) const {
    return visible_log(*store_, *shape);
  }

  static frame_builder described() {
    return std::move(frame_builder{}.relation(
        oid, "items", {{"id", 23}, {"title", 25}, {"done", 16}, {"note", 25}}));
  }
  static image_row row(int id, std::string title = "a") {
    return {std::to_string(id), std::move(title), "f", std::nullopt};
  }

  // -- the neighbours -----------------------------------------------------------------------------

  struct session {
    session_actor handle;
    bool answers = true; ///< Tells the materializer that it has dealt with a letter.
    int letters = 0;
    std::vector<head_move> moves;
    std::vector<storage::shape_id> checks;
  };
  std::shared_ptr<session> watch(const shape_ptr& shape) {
    auto made = std::make_shared<session>();
    made->handle =
        system_->system.spawn([made = made.get(), target = materializer()](
                                  session_actor::pointer self) -> session_actor::behavior_type {
          return {[made, target, self](moved_atom, const move_list& moves, std::uint32_t) {
                    ++made->letters;
                    made->moves.insert(made->moves.end(), moves.begin(), moves.end());
                    if (made->answers)
                      self->send(target, ready_atom_v, session_actor{self});
                  },
                  [made](check_atom, const id_list& ids) {
                    made->checks.insert(made->checks.end(), ids.begin(), ids.end());
                  },
                  [](tick_atom) {}};
        });
    sessions_.push_back(made);
    caf::anon_send(materializer(), watch_atom_v, shape, made->handle);
    run();
    return made;
  }

  std::uint32_t chunk_bytes_max_ = 10u << 20;
  std::size_t entry_bytes_max_ = 32u << 20;
  std::size_t aside_bytes_max_ = 64u << 20;
  std::size_t spool_bytes_max_ = 0;
  cluster::control_codec codec_{std::string(32, 'k'), "default"};
  monitoring::metrics metrics_;
  node_status status_{1};
  std::vector<shape_ptr> shapes_; ///< After crash(), by id.

  std::vector<std::pair<shape_ptr, std::string>> invalidated_; ///< As the directory was told.
  std::vector<shape_ptr> to_mend_;                             ///< As the directory was told.
  std::vector<lsn> applied_;                                   ///< As the flusher was told.
  bool wrote_ = false;
  int credits_ = 0; ///< As the replicator was told.

private:
  struct running {
    explicit running(caf::actor_system_config c) : config{std::move(c)}, system{config} {}
    caf::actor_system_config config;
    caf::actor_system system;
  };

  directory_actor spawn_directory() {
    return system_->system.spawn([this](
                                     directory_actor::pointer) -> directory_actor::behavior_type {
      return {[](find_atom, const shape_request&, const std::string&) -> caf::result<shape_ptr> {
                return caf::make_error(caf::sec::unexpected_message);
              },
              [](finished_atom, const shape_list&, const snapshotter_actor&) {},
              [](publish_atom, const shape_ptr&, bool) {},
              [this](mend_atom, const shape_ptr& shape) { to_mend_.push_back(shape); },
              [](mend_atom, const shape_ptr&, const snapshotter_actor&) {},
              [this](invalid_atom, const shape_ptr& shape, const std::string& why) {
                invalidated_.emplace_back(shape, why);
              },
              [](drop_atom, const shape_ptr&) {},
              [](purge_atom, const std::string&) { return true; },
              [](adopt_atom, const shape_list&) {},
              [](follow_atom, const shape_list&, const shape_list&) {},
              [](answer_atom, const leader_word&) {}};
    });
  }
  flusher_actor spawn_flusher() {
    return system_->system.spawn([this](flusher_actor::pointer) -> flusher_actor::behavior_type {
      return {[this](applied_atom, std::uint32_t, lsn position, bool wrote) {
                applied_.push_back(position);
                wrote_ = wrote;
              },
              [](reset_atom, lsn, std::uint64_t) { return true; },
              [](continue_atom, lsn) { return true; }, [](flush_atom) {}};
    });
  }
  /// One without a pace.
  janitor_actor spawn_janitor() {
    return system_->system.spawn([this](janitor_actor::pointer) -> janitor_actor::behavior_type {
      return {[](adopt_atom) {},
              [this](forget_atom, storage::shape_id id, bool last_word) {
                EXPECT_TRUE(store_->remove_shape(id, last_word));
              },
              [](flush_atom) {}, [](tick_atom) {}, [](compact_atom) {}};
    });
  }
  replicator_actor spawn_replicator() {
    return system_->system.spawn([this](
                                     replicator_actor::pointer) -> replicator_actor::behavior_type {
      return {[](flushed_atom, lsn, std::uint64_t) {}, [](renew_atom) {},
              [this](applied_atom, std::uint32_t, std::uint64_t bytes) { credits_ += bytes > 0; }};
    });
  }

  std::unique_ptr<running> system_;
  caf::scheduler::test_coordinator* scheduler_ = nullptr;
  cast_ptr others_;
  std::vector<std::shared_ptr<session>> sessions_;
};

} // namespace busbar::testing
