#include "storage/keys.hpp"

#include <gtest/gtest.h>

#include <random>
#include <vector>

namespace busbar::storage {
namespace {

using namespace std::string_literals;

// These bytes are on disk: a test that fails here means that existing directories become
// unreadable.
TEST(KeysTest, LayoutOnDiskStaysAsItIs) {
  const shape_id shape{0x0102030405060708};
  const auto id = "\x01\x02\x03\x04\x05\x06\x07\x08"s;
  EXPECT_EQ(shape_prefix(shape), id);
  EXPECT_EQ(shape_key('s', shape), "s" + id);
  EXPECT_EQ(log_key(shape, {0x1112131415161718, 4}),
            id + "\x11\x12\x13\x14\x15\x16\x17\x18" + "\0\0\0\0\0\0\0\x05"s);
  EXPECT_EQ(log_key(shape, log_offset::start()), id + std::string(16, '\0'));
  EXPECT_EQ(log_key(shape, log_offset::snapshot_end()),
            id + std::string(8, '\0') + "\x80\0\0\0\0\0\0\0"s);
  EXPECT_EQ(piece_key(shape, 2, 3), id + "p" + "\0\0\0\0\0\0\0\x02"s + "\0\0\0\x03"s);
  EXPECT_EQ(boundary_key(shape, {1, 0}), id + "b" + "\0\0\0\0\0\0\0\x01"s + "\0\0\0\0\0\0\0\x01"s);
  EXPECT_EQ(chunk_prefix(shape, 'b'), id + "b");
  EXPECT_EQ(compaction_key(shape), id + "c");
  digest value;
  for (std::size_t i = 0; i < value.size(); ++i)
    value[i] = static_cast<decltype(value)::value_type>(0x20 + i);
  const auto digest_text = " !\"#$%&'()*+,-./"s;
  EXPECT_EQ(set_value_key(shape, value), id + "v" + digest_text);
  EXPECT_EQ(set_prefix(shape, 'p'), id + "p");
  EXPECT_EQ(lag_key(shape, 0x0304, value), id + "l\x03\x04" + digest_text);
  EXPECT_EQ(open_key(5), "open\0\0\0\x05"s);
  EXPECT_EQ(note_key(0x01020304), "n\x01\x02\x03\x04");
  EXPECT_EQ(added_key(5), "table\0\0\0\x05"s);
  EXPECT_EQ(full_key(5), "full\0\0\0\x05"s);
}

TEST(KeysTest, FamiliesKeepTheirNamesAndPlaces) {
  const std::vector<std::string_view> golden{"default", "directory", "log", "chunks",
                                             "frames",  "node",      "sets"};
  EXPECT_EQ((std::vector<std::string_view>{family_names.begin(), family_names.end()}), golden);
  EXPECT_EQ(static_cast<int>(family::node), 5);
  EXPECT_EQ(format_version, 3u);
  const std::vector<std::string> names{format_name,  identity_name,   control_key_name,
                                       durable_name, newest_xid_name, next_shape_name,
                                       table_prefix, open_prefix,     lineage_name};
  EXPECT_EQ(names, (std::vector<std::string>{"format", "identity", "control key", "durable",
                                             "newest xid", "next shape", "d", "open", "lineage"}));
  EXPECT_EQ(table_digest_bytes, 16u);
}

TEST(KeysTest, OrderOfKeysIsOrderOfTheLog) {
  const auto seed = std::random_device{}();
  SCOPED_TRACE("seed " + std::to_string(seed));
  std::mt19937_64 random{seed};
  const std::vector<std::uint64_t> numbers{
      0, 1, 2, 255, 256, std::uint64_t{1} << 32, ~0ull, ~0ull / 2, random(), random()};
  std::vector<log_offset> offsets;
  for (const auto tx : numbers)
    for (const std::int64_t op : {std::int64_t{-1}, std::int64_t{0}, std::int64_t{1},
                                  std::int64_t{255}, std::int64_t{256}, log_offset::infinite})
      offsets.push_back({tx, op});
  for (const auto a : offsets)
    for (const auto b : offsets) {
      ASSERT_EQ(log_key(shape_id{7}, a) < log_key(shape_id{7}, b), a < b);
      ASSERT_EQ(boundary_key(shape_id{7}, a) < boundary_key(shape_id{7}, b), a < b);
      ASSERT_LT(log_key(shape_id{7}, a), log_key(shape_id{8}, b));
    }
}

TEST(KeysTest, OffsetsAreReadBack) {
  for (const log_offset x : {log_offset::start(), log_offset{0, 0}, log_offset::snapshot_end(),
                             log_offset{~0ull, 12}, log_offset{1, log_offset::infinite}}) {
    EXPECT_EQ(parse_log_key(log_key(shape_id{9}, x)).value(), x);
    EXPECT_EQ(parse_boundary_key(boundary_key(shape_id{9}, x)).value(), x);
  }
  EXPECT_EQ(parse_shape_key(shape_key('s', shape_id{77})).value(), shape_id{77});
  EXPECT_EQ(parse_note_key(note_key(77)).value(), 77u);
}

TEST(KeysTest, AnyOtherSizeOrKindIsCorrupt) {
  const auto corrupt = [](const auto& parsed) {
    return !parsed && parsed.error().code == errc::corrupt;
  };
  const auto log = log_key(shape_id{1}, {2, 3});
  EXPECT_TRUE(corrupt(parse_log_key("")));
  EXPECT_TRUE(corrupt(parse_log_key(log.substr(1))));
  EXPECT_TRUE(corrupt(parse_log_key(log + "x")));
  const auto boundary = boundary_key(shape_id{1}, {2, 3});
  EXPECT_TRUE(corrupt(parse_boundary_key(boundary.substr(1))));
  EXPECT_TRUE(corrupt(parse_boundary_key(boundary + "x")));
  auto piece = boundary;
  piece[8] = 'p';
  EXPECT_TRUE(corrupt(parse_boundary_key(piece)));
  EXPECT_TRUE(corrupt(parse_note_key("n")));
  EXPECT_TRUE(corrupt(parse_note_key("m\1\1\1\1")));
  EXPECT_TRUE(corrupt(parse_shape_key("s")));
  EXPECT_TRUE(corrupt(parse_shape_key(shape_key('s', shape_id{1}) + "x")));
}

} // namespace
} // namespace busbar::storage
