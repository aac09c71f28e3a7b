// What the FLUSHER reports, and of which epoch. It runs on its own thread, as it does in the
// server.
#include "actors/flusher.hpp"
#include "tests/unit/storage/store_fixture.hpp"

#include <gmock/gmock.h>

#include <condition_variable>
#include <mutex>

namespace busbar {
namespace {

using ::testing::Each;
using ::testing::Pair;

class FlusherTest : public testing::StoreTest {
protected:
  using report = std::pair<std::uint64_t, std::uint64_t>; // position, epoch

  void SetUp() override {
    StoreTest::SetUp();
    others_->replicator =
        system_.spawn([this](replicator_actor::pointer) -> replicator_actor::behavior_type {
          return {[this](flushed_atom, lsn position, std::uint64_t epoch) {
                    const std::lock_guard guard{mutex_};
                    reports_.emplace_back(to_number(position), epoch);
                    told_.notify_all();
                  },
                  [](renew_atom) {}, [](applied_atom, std::uint32_t, std::uint64_t) {}};
        });
    others_->flusher = spawn_flusher(system_, *store_, status_, metrics_, 1, others_);
  }
  void TearDown() override {
    caf::anon_send_exit(others_->flusher, caf::exit_reason::user_shutdown);
    caf::anon_send_exit(others_->replicator, caf::exit_reason::user_shutdown);
    *others_ = {};
    system_.await_all_actors_done();
  }

  void applied(std::uint64_t position) {
    caf::anon_send(others_->flusher, applied_atom_v, std::uint32_t{0}, lsn{position}, true);
  }
  bool reset(std::uint64_t position, std::uint64_t epoch) {
    caf::scoped_actor asking{system_};
    bool done = false;
    asking->request(others_->flusher, std::chrono::seconds{30}, reset_atom_v, lsn{position}, epoch)
        .receive([&](bool ok) { done = ok; }, [](const caf::error&) {});
    return done;
  }
  /// Waits until this position has been reported; how many reports there are then.
  std::size_t wait_for(std::uint64_t position) {
    std::unique_lock guard{mutex_};
    EXPECT_TRUE(told_.wait_for(guard, std::chrono::seconds{30}, [&] {
      return !reports_.empty() && reports_.back().first == position;
    }));
    return reports_.size();
  }
  std::vector<report> reports_after(std::size_t count) {
    const std::lock_guard guard{mutex_};
    return {reports_.begin() + static_cast<std::ptrdiff_t>(count), reports_.end()};
  }

  caf::actor_system_config config_;
  caf::actor_system system_{config_};
  node_status status_{1};
  monitoring::metrics metrics_;
  const cast_ptr others_ = std::make_shared<cast>();
  std::mutex mutex_;
  std::condition_variable told_;
  std::vector<report> reports_;
};

TEST_F(FlusherTest, AfterAResetPositionsMayFallAndReportsAreOfTheNewEpoch) {
  applied(1'000);
  const auto before = wait_for(1'000);
  ASSERT_TRUE(reset(100, 1));
  applied(200);
  wait_for(200);
  EXPECT_THAT(reports_after(before), Each(Pair(200, 1)));
  EXPECT_EQ(store_->durable().value(), lsn{200});
}

TEST_F(FlusherTest, WhatStorageHasIsNotTakenBackWhenTheStreamGoesOn) {
  ASSERT_TRUE(store_->sync(lsn{1'000}));
  caf::scoped_actor asking{system_};
  asking->request(others_->flusher, std::chrono::seconds{30}, continue_atom_v, lsn{1'000})
      .receive([](bool ok) { EXPECT_TRUE(ok); },
               [](const caf::error& why) { FAIL() << caf::to_string(why); });
  applied(500); // as the first keepalive after a crash of PostgreSQL may say
  applied(1'001);
  EXPECT_EQ(wait_for(1'001), 1u);
  EXPECT_EQ(store_->durable().value(), lsn{1'001});
}

TEST_F(FlusherTest, NothingOfTheTimeBeforeIsWrittenOnceTheResetIsAnswered) {
  for (std::uint64_t position = 1'000; position < 1'200; ++position)
    applied(position); // some of it is still to be flushed when the reset comes
  ASSERT_TRUE(reset(100, 1));
  ASSERT_TRUE(store_->sync(lsn{100}));
  status_.restart(99);
  applied(200);
  wait_for(200);
  EXPECT_EQ(store_->durable().value(), lsn{200});
  EXPECT_EQ(status_.last_seen_lsn(), 199u);
  for (const auto& [position, epoch] : reports_after(0))
    EXPECT_EQ(epoch, position < 1'000 ? 1u : 0u) << position;
}

} // namespace
} // namespace busbar
