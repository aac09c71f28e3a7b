// Malformed messages: each is an error or a harmless frame, and nothing is read out of bounds (run
// it with sanitizers). Each message is copied to a buffer of exactly its size for that.
#include "postgres/pgoutput.hpp"
#include "tests/unit/postgres/pgoutput_bytes.hpp"

#include <gtest/gtest.h>

#include <cstdio>
#include <cstdlib>
#include <memory>
#include <random>

namespace busbar::testing {
namespace {

const std::vector<std::string>& valid_messages() {
  static const std::vector<std::string> messages{
      begin_message(100, 7),
      relation_message(1, "public", "item", {"id", "name", "body"}),
      relation_message(2, "", "other", {"id"}, 'd'),
      insert_message(1, {"1", "some text", std::nullopt}),
      update_message(1, 'O', {"1", "a", "long"}, {"1", "b", unchanged}),
      update_message(2, 'K', {"1"}, {"2"}),
      update_message(2, 0, {}, {unchanged}),
      delete_message(1, 'O', {"1", "b", "long"}),
      logical_message(true, "busbar", "content"),
      truncate_message({1, 2}),
      commit_message(100, 130)};
  return messages;
}

result<void> consume_exactly(postgres::pgoutput_decoder& decoder, const std::string& message) {
  const auto copy = std::make_unique<char[]>(message.size());
  std::copy(message.begin(), message.end(), copy.get());
  return decoder.consume({copy.get(), message.size()});
}

/// Steps through everything that a frame says, and checks that its parts fit together.
void check_frame(const frame& taken) {
  if (taken.empty())
    return;
  const auto root = taken.read();
  std::uint64_t changes = 0;
  for (const auto transaction : root.getTransactions()) {
    ASSERT_EQ(transaction.getFirstChange(), changes);
    changes += transaction.getChangeCount();
  }
  ASSERT_EQ(changes, root.getChanges().size());
  const auto rows = root.getRows();
  for (const auto change : root.getChanges())
    for (const auto& [at, bytes] : {std::pair{change.getOldAt(), change.getOldBytes()},
                                    std::pair{change.getNewAt(), change.getNewBytes()}}) {
      if (bytes == 0)
        continue;
      ASSERT_LE(std::uint64_t{at} + bytes, rows.size());
      row_image row{{reinterpret_cast<const char*>(rows.begin()) + at, bytes}};
      bool is_null = false;
      std::string_view text;
      unsigned columns = 0;
      while (row.next(is_null, text))
        ++columns;
      ASSERT_EQ(columns, row.column_count());
    }
  for (const auto relation : root.getRelations())
    for (const auto column : relation.getColumns())
      ASSERT_LE(column.getName().size(), 100u);
}

TEST(PgoutputFuzz, EveryTruncatedMessageIsAnError) {
  for (std::size_t broken = 0; broken < valid_messages().size(); ++broken)
    for (std::size_t size = 0; size < valid_messages()[broken].size(); ++size) {
      postgres::pgoutput_decoder decoder{1};
      for (std::size_t i = 0; i < broken; ++i)
        ASSERT_TRUE(consume_exactly(decoder, valid_messages()[i]));
      EXPECT_FALSE(consume_exactly(decoder, valid_messages()[broken].substr(0, size)))
          << "message " << broken << " of " << size << " bytes";
      check_frame(decoder.take());
    }
}

TEST(PgoutputFuzz, ATrailingByteIsAnError) {
  for (std::size_t broken = 0; broken < valid_messages().size(); ++broken) {
    postgres::pgoutput_decoder decoder{1};
    for (std::size_t i = 0; i < broken; ++i)
      ASSERT_TRUE(consume_exactly(decoder, valid_messages()[i]));
    EXPECT_FALSE(consume_exactly(decoder, valid_messages()[broken] + '\0')) << broken;
  }
}

TEST(PgoutputFuzz, EveryMutatedByteIsAnErrorOrAFrameThatFitsTogether) {
  for (std::size_t broken = 0; broken < valid_messages().size(); ++broken)
    for (std::size_t at = 0; at < valid_messages()[broken].size(); ++at)
      for (const int byte : {0x00, 0x01, 0x7f, 0x80, 0xff, +'n', +'u', +'t', +'K', +'N'}) {
        postgres::pgoutput_decoder decoder{1};
        for (std::size_t i = 0; i < valid_messages().size(); ++i) {
          auto message = valid_messages()[i];
          if (i == broken)
            message[at] = static_cast<char>(byte);
          if (!consume_exactly(decoder, message))
            break; // the decoder is thrown away with its stream
        }
        check_frame(decoder.take());
      }
}

TEST(PgoutputFuzz, RandomSequencesOfDamagedMessagesDoNoHarm) {
  const char* chosen = std::getenv("BUSBAR_TEST_SEED");
  const auto seed = chosen != nullptr ? std::strtoull(chosen, nullptr, 10) : std::random_device{}();
  std::printf("BUSBAR_TEST_SEED=%llu\n", static_cast<unsigned long long>(seed));
  SCOPED_TRACE("BUSBAR_TEST_SEED=" + std::to_string(seed));
  std::mt19937_64 random{seed};
  const auto below = [&](std::size_t n) { return static_cast<std::size_t>(random() % n); };
  for (int round = 0; round < 20'000; ++round) {
    postgres::pgoutput_decoder decoder{1};
    for (int step = 0; step < 20; ++step) {
      auto message = valid_messages()[below(valid_messages().size())];
      for (auto damage = below(3); damage > 0 && !message.empty(); --damage) {
        if (below(4) == 0)
          message.erase(below(message.size()), 1 + below(4));
        else
          message[below(message.size())] = static_cast<char>(random());
      }
      (void)consume_exactly(decoder, message);
      if (below(5) == 0)
        check_frame(decoder.take());
    }
    check_frame(decoder.take());
    if (HasFatalFailure())
      return;
  }
}

} // namespace
} // namespace busbar::testing
