#include "schema/frame.hpp"
#include "tests/unit/schema/frame_builder.hpp"

#include <gmock/gmock.h>
#include <gtest/gtest.h>
#include <kj/exception.h>

#include <random>

namespace busbar {
namespace {

using testing::frame_builder;
using testing::image_row;
using testing::row_bytes;

constexpr std::uint32_t items = 16384;

frame sample() {
  return frame_builder{7}
      .begin(1000, 501)
      .relation(items, "items", {{"id", 23}, {"title", 25}})
      .insert(items, {"1", "Milk"})
      .update(items, {"1", "Milk"}, {"1", std::nullopt})
      .commit()
      .begin(2000, 502)
      .message("signed bytes")
      .remove(items, {"1", std::nullopt})
      .truncate(items)
      .stop()
      .build();
}

/// Everything a reader could ask of a frame, in place; the rows' text together.
std::string read_all(const frame& f) {
  std::string seen;
  const auto root = f.read();
  const auto rows = root.getRows();
  seen += std::to_string(root.getTerm());
  for (const auto transaction : root.getTransactions())
    seen += std::to_string(transaction.getCommitLsn() + transaction.getXid());
  for (const auto change : root.getChanges())
    for (const auto& [at, bytes] : {std::pair{change.getOldAt(), change.getOldBytes()},
                                    std::pair{change.getNewAt(), change.getNewBytes()}}) {
      if (bytes == 0)
        continue;
      row_image row{{reinterpret_cast<const char*>(rows.begin()) + at, bytes}};
      bool is_null = false;
      std::string_view text;
      while (row.next(is_null, text))
        seen += text;
    }
  for (const auto relation : root.getRelations()) {
    seen += relation.getName().cStr();
    seen += relation.getSchema().cStr();
    for (const auto column : relation.getColumns())
      seen += column.getName().cStr();
  }
  for (const auto message : root.getMessages())
    seen += std::to_string(message.getContent().size() + message.getTransaction());
  return seen;
}

TEST(FrameTest, EmptyHandleHasNoBytes) {
  const frame none;
  EXPECT_TRUE(none.empty());
  EXPECT_EQ(none.size_bytes(), 0u);
  EXPECT_EQ(none.bytes(), "");
}

TEST(FrameTest, BytesAreReadBackAsTheSameFrame) {
  const auto built = sample();
  const auto parsed = frame::parse(built.bytes());
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(parsed->bytes(), built.bytes());
  EXPECT_EQ(read_all(*parsed), read_all(built));
  const auto root = parsed->read();
  EXPECT_EQ(root.getTerm(), 7u);
  ASSERT_EQ(root.getTransactions().size(), 2u);
  EXPECT_EQ(root.getTransactions()[1].getFirstChange(), 2u);
  EXPECT_FALSE(root.getTransactions()[1].getEnds());
  ASSERT_EQ(root.getChanges().size(), 4u);
  EXPECT_EQ(root.getChanges()[3].getKind(), schema::Change::Kind::TRUNCATE);
  EXPECT_EQ(root.getRelations()[0].getColumns()[1].getTypeOid(), 25u);
}

TEST(FrameTest, CopiesShareTheirBytes) {
  const auto built = sample();
  const auto copy = built; // NOLINT(performance-unnecessary-copy-initialization)
  EXPECT_EQ(copy.bytes().data(), built.bytes().data());
}

TEST(FrameTest, BytesNeedNotBeAligned) {
  const auto built = sample();
  const std::string shifted = "x" + std::string{built.bytes()};
  const auto parsed = frame::parse(std::string_view{shifted}.substr(1));
  ASSERT_TRUE(parsed) << parsed.error().message;
  EXPECT_EQ(read_all(*parsed), read_all(built));
}

TEST(FrameTest, EveryTruncationIsRefusedOrReadable) {
  const std::string whole{sample().bytes()};
  for (std::size_t size = 0; size < whole.size(); ++size) {
    const auto parsed = frame::parse(whole.substr(0, size));
    if (parsed)
      EXPECT_NO_THROW(read_all(*parsed)) << size;
    else
      EXPECT_EQ(parsed.error().code, errc::corrupt) << size;
  }
}

TEST(FrameTest, EveryMutationIsRefusedOrReadable) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937 random{seed};
  const std::string whole{sample().bytes()};
  int refused = 0;
  for (int round = 0; round < 20'000; ++round) {
    auto bytes = whole;
    const int hits = 1 + static_cast<int>(random() % 4);
    for (int hit = 0; hit < hits; ++hit)
      bytes[random() % bytes.size()] = static_cast<char>(random());
    const auto parsed = frame::parse(bytes);
    if (!parsed) {
      ASSERT_EQ(parsed.error().code, errc::corrupt);
      ++refused;
      continue;
    }
    ASSERT_NO_THROW(read_all(*parsed)) << "round " << round;
  }
  EXPECT_GT(refused, 0);
}

TEST(FrameTest, IndicesThatPointNowhereAreRefused) {
  const auto refused = [](auto&& spoil) {
    capnp::MallocMessageBuilder builder;
    auto root = builder.initRoot<schema::Frame>();
    root.setRows(capnp::Data::Reader{reinterpret_cast<const capnp::byte*>("12345678"), 8});
    root.initChanges(2)[1].setNewAt(0);
    root.getChanges()[1].setNewBytes(8);
    root.initTransactions(1)[0].setChangeCount(2);
    spoil(root);
    const auto parsed = frame::parse(frame::build(builder).bytes());
    return !parsed && parsed.error().code == errc::corrupt;
  };
  EXPECT_FALSE(refused([](auto) {}));
  EXPECT_TRUE(refused([](auto root) { root.getChanges()[1].setNewBytes(9); }));
  EXPECT_TRUE(refused([](auto root) { root.getChanges()[1].setNewAt(0xffffffff); }));
  EXPECT_TRUE(refused([](auto root) { root.getChanges()[0].setOldBytes(9); }));
  EXPECT_TRUE(refused([](auto root) { root.getTransactions()[0].setChangeCount(3); }));
  EXPECT_TRUE(refused([](auto root) { root.getTransactions()[0].setFirstChange(0xffffffff); }));
  EXPECT_TRUE(refused([](auto root) { root.initMessages(1)[0].setTransaction(1); }));
}

// -- row images -----------------------------------------------------------------------------------

struct read_row {
  image_row values;
  bool whole = false;
};

read_row read_image(std::string_view bytes) {
  read_row out;
  row_image row{bytes};
  bool is_null = false;
  std::string_view text;
  while (row.next(is_null, text))
    out.values.push_back(is_null ? std::nullopt : std::optional<std::string>{std::string{text}});
  out.whole = out.values.size() == row.column_count();
  return out;
}

TEST(RowImageTest, ColumnsAreReadBackInOrder) {
  const image_row row{"", std::nullopt, "text, with {braces}", std::string(70'000, 'x')};
  const auto read = read_image(row_bytes(row));
  EXPECT_TRUE(read.whole);
  EXPECT_EQ(read.values, row);
}

TEST(RowImageTest, NullAndEmptyTextDiffer) {
  const auto read = read_image(row_bytes({std::nullopt, ""}));
  ASSERT_EQ(read.values.size(), 2u);
  EXPECT_EQ(read.values[0], std::nullopt);
  EXPECT_EQ(read.values[1], "");
}

TEST(RowImageTest, EveryTruncationIsNoticed) {
  const auto whole = row_bytes({"one", std::nullopt, "three"});
  for (std::size_t size = 2; size < whole.size(); ++size)
    EXPECT_FALSE(read_image(std::string_view{whole}.substr(0, size)).whole) << size;
  EXPECT_EQ(read_image("").values.size(), 0u);
  EXPECT_EQ(read_image("\x01").values.size(), 0u);
}

TEST(RowImageTest, UnknownTagAndHugeLengthEndTheRow) {
  auto bytes = row_bytes({"one", "two"});
  auto unknown = bytes;
  unknown[2] = 'b';
  EXPECT_EQ(read_image(unknown).values.size(), 0u);
  auto huge = bytes;
  huge[3] = '\xff';
  EXPECT_EQ(read_image(huge).values.size(), 0u);
}

} // namespace
} // namespace busbar
