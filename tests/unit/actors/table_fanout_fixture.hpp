// tests/unit/actors/table_fanout_fixture.hpp: a fan-out, shapes on it, and what each is told of a
// change.
#pragma once

#include "actors/table_fanout.hpp"
#include "tests/unit/actors/made_shape.hpp"
#include "tests/unit/schema/frame_builder.hpp"

#include <gmock/gmock.h>

#include <map>
#include <memory>
#include <set>
#include <string>
#include <utility>
#include <vector>

namespace busbar::testing {

constexpr std::uint32_t oid = 16384;
constexpr auto null = std::nullopt;

inline stream_relation items_relation() {
  return {.oid = oid,
          .schema = "public",
          .name = "items",
          .columns = {{"id", 23}, {"title", 25}, {"done", 16}, {"note", 25}},
          .identity_full = true};
}

class TableFanoutTest : public ::testing::Test {
protected:
  shape_log_writer& add(const shape_request& request = {}) {
    logs_.push_back(
        std::make_unique<shape_log_writer>(made_shape(logs_.size() + 1, request), 1000));
    fanout_.add(*logs_.back());
    return *logs_.back();
  }
  /// Sends one change through; each shape's entries are then in got_, in short.
  void route(const frame_builder& built) {
    got_.clear();
    broken_.clear();
    judged_.clear();
    passed_.clear();
    bytes_.clear();
    const auto f = built.build();
    const table_fanout::sink to{
        .wanted = [this](const shape_log_writer& log) { return !unwanted_.contains(&log); },
        .affected =
            [this](shape_log_writer& log, std::vector<encoded_entry>& entries, bool may_take) {
              for (auto& entry : entries) {
                got_[&log].push_back(in_short(entry.json));
                bytes_[&log].push_back(may_take ? std::move(entry.json) : entry.json);
              }
            },
        .judge =
            [this](shape_log_writer& log, row_cells old_row, row_cells new_row, entry_encoder&) {
              judged_[&log] = rows(!old_row.empty(), !new_row.empty());
              return can_judge_;
            },
        .broken =
            [this](shape_log_writer& log, const std::string& why) {
              broken_[&log] = why;
              fanout_.remove(log);
            },
        .passed = [this](shape_log_writer& log, bool old_row,
                         bool new_row) { passed_[&log] = rows(old_row, new_row); },
        .hasher = &hasher_,
        .sets = &sets_};
    change_position at{.commit_lsn = 500, .xid = 120, .op = 0};
    for (const auto change : f.read().getChanges()) {
      if (only_one_)
        fanout_.route_one(*only_one_, f.read(), change, true, false, to);
      else
        fanout_.route(f.read(), change, at, to);
      at.op += 2;
    }
  }
  static std::string rows(bool old_row, bool new_row) {
    return std::string{old_row ? "old" : ""} + (new_row ? "new" : "");
  }
  /// Asks by this column what `set` selects, which is made up.
  shape_log_writer& add_asking(const std::string& column, std::uint64_t set) {
    const auto request = where(column + " IN (SELECT id FROM items WHERE title = 'x')");
    auto definition = define_shape(request, items(), {items()});
    EXPECT_TRUE(definition) << definition.error().message;
    const auto id = storage::shape_id{logs_.size() + 1};
    logs_.push_back(std::make_unique<shape_log_writer>(
        std::make_shared<shape_state>(id, "handle", std::move(*definition), nullptr,
                                      std::vector{storage::shape_id{set}}),
        1000));
    fanout_.add(*logs_.back());
    return *logs_.back();
  }
  void hold(std::uint64_t set, const std::string& id) {
    const std::vector<sql::key_form> forms{
        {.column = 0, .from = sql::type::int4, .as = sql::type::int4}};
    const std::vector<sql::cell> row{id};
    digest value{};
    hasher_.forget();
    ASSERT_EQ(hasher_.read(forms, row, value), value_hasher::reading::value);
    sets_.add(value, set_number_of(storage::shape_id{set}));
  }
  static frame_builder change() { return std::move(frame_builder{}.begin(500, 120)); }
  void insert(const image_row& row) { route(change().insert(oid, row)); }
  void update(const image_row& before, const image_row& after) {
    route(change().update(oid, before, after));
  }

  std::vector<std::unique_ptr<shape_log_writer>> logs_;
  table_fanout fanout_;
  std::set<const shape_log_writer*> unwanted_;
  std::map<const shape_log_writer*, std::vector<std::string>> got_;
  std::map<const shape_log_writer*, std::vector<std::string>> bytes_;
  std::map<const shape_log_writer*, std::string> broken_;
  std::map<const shape_log_writer*, std::string> judged_; ///< Which rows it was shown.
  std::map<const shape_log_writer*, std::string> passed_;
  bool can_judge_ = true;
  shape_log_writer* only_one_ = nullptr;
  value_hasher hasher_{"secret"};
  set_values sets_;
};

} // namespace busbar::testing
