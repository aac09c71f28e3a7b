// What a disk that refuses does to the store. A limit on the size of files stands for the full
// disk.
#include "tests/unit/storage/store_fixture.hpp"

#include <gmock/gmock.h>
#include <sys/resource.h>

#include <csignal>
#include <mutex>

namespace busbar {
namespace {

/// Files of this process cannot grow beyond it, as long as it lives.
class file_size_limit {
public:
  explicit file_size_limit(rlim_t bytes) : handler_{std::signal(SIGXFSZ, SIG_IGN)} {
    EXPECT_EQ(getrlimit(RLIMIT_FSIZE, &before_), 0);
    const rlimit limited{bytes, before_.rlim_max};
    EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &limited), 0);
  }
  file_size_limit(const file_size_limit&) = delete;
  file_size_limit& operator=(const file_size_limit&) = delete;
  ~file_size_limit() {
    EXPECT_EQ(setrlimit(RLIMIT_FSIZE, &before_), 0);
    std::signal(SIGXFSZ, handler_);
  }

private:
  void (*handler_)(int);
  rlimit before_{};
};

class StoreTroubleTest : public testing::StoreTest {
protected:
  void SetUp() override {
    auto with_ear = settings();
    with_ear.on_fatal = [this](const error& why) {
      const std::lock_guard guard{mutex_};
      told_.push_back(why.message);
    };
    auto opened = storage::store::open(with_ear);
    ASSERT_TRUE(opened) << opened.error().message;
    store_ = std::move(*opened);
  }
  bool append(std::uint64_t tx) {
    storage::batch writes;
    writes.append_block(id_, {tx, 0}, block({{0, std::string(50'000, 'x')}}));
    return store_->commit(writes).has_value();
  }

  const storage::shape_id id_{1};
  std::mutex mutex_;
  std::vector<std::string> told_;
};

TEST_F(StoreTroubleTest, ARefusedPieceOfTheLogIsToldOnceAndWhatWasWrittenBeforeIsThereAgain) {
  put(id_, record("handle"));
  EXPECT_TRUE(store_->accepts_writes());
  std::uint64_t written = 0;
  {
    const file_size_limit full{400'000};
    while (written < 20 && append(written + 1))
      ++written;
    ASSERT_GT(written, 0u);
    ASSERT_LT(written, 20u) << "the limit has no effect";
    EXPECT_FALSE(store_->accepts_writes());
    EXPECT_FALSE(append(written + 2));
    EXPECT_FALSE(store_->sync(lsn{written}));
    const std::lock_guard guard{mutex_};
    EXPECT_THAT(told_, ::testing::ElementsAre(::testing::HasSubstr("the disk refuses")));
    store_.reset(); // without any further ado
  }
  reopen();
  const auto found = recover();
  ASSERT_EQ(found.size(), 1u);
  EXPECT_EQ(found[0].head, (log_offset{written, 0}));
  EXPECT_TRUE(append(written + 1));
  EXPECT_TRUE(store_->accepts_writes());
}

} // namespace
} // namespace busbar
