// tests/unit/schema/frame_builder.hpp: writes the frames that a decoder would, one short line a
// change.
#pragma once

#include "base/bytes.hpp"
#include "schema/frame.hpp"

#include <capnp/message.h>

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <tuple>
#include <utility>
#include <vector>

namespace busbar::testing {

/// A row as the stream delivers it; nullopt = NULL.
using image_row = std::vector<std::optional<std::string>>;

inline std::string row_bytes(const image_row& row) {
  std::string out;
  append_be16(out, static_cast<std::uint16_t>(row.size()));
  for (const auto& value : row) {
    if (!value) {
      out += 'n';
      continue;
    }
    out += 't';
    append_be32(out, static_cast<std::uint32_t>(value->size()));
    out += *value;
  }
  return out;
}

/// One frame. Life: begin() and the changes of a transaction, commit() or stop(), …, build().
class frame_builder {
public:
  explicit frame_builder(std::uint64_t term = 1) : term_{term} {}

  /// `begins` = false for a later piece of a transaction, whose first change is at `position`.
  frame_builder& begin(std::uint64_t commit_lsn, std::uint32_t xid, bool begins = true,
                       std::uint64_t position = 0) {
    transactions_.push_back({.commit = commit_lsn,
                             .xid = xid,
                             .first = static_cast<std::uint32_t>(changes_.size()),
                             .begins = begins,
                             .position = position});
    return *this;
  }
  frame_builder& insert(std::uint32_t relation, const image_row& row) {
    return change(schema::Change::Kind::INSERT, relation, {}, row);
  }
  frame_builder& update(std::uint32_t relation, const image_row& before, const image_row& after) {
    return change(schema::Change::Kind::UPDATE, relation, before, after);
  }
  frame_builder& remove(std::uint32_t relation, const image_row& row) {
    return change(schema::Change::Kind::DELETE, relation, row, {});
  }
  frame_builder& truncate(std::uint32_t relation) {
    return change(schema::Change::Kind::TRUNCATE, relation, {}, {});
  }
  /// The change before had only the identity columns in its old image.
  frame_builder& key_only() {
    changes_.back().key_only = true;
    return *this;
  }
  frame_builder& relation(std::uint32_t oid, std::string name,
                          std::vector<std::pair<std::string, std::uint32_t>> columns) {
    relations_.push_back({.oid = oid,
                          .name = std::move(name),
                          .columns = std::move(columns),
                          .before = static_cast<std::uint32_t>(changes_.size())});
    return *this;
  }
  /// The relation before is a partition of `ancestor`, at the top of those that it has already.
  frame_builder& below(std::uint32_t ancestor, std::uint32_t attached_xid = 0) {
    relations_.back().ancestors.emplace_back(ancestor, attached_xid);
    return *this;
  }
  /// The relation before streams old images only in part.
  frame_builder& without_identity() {
    relations_.back().identity_full = false;
    return *this;
  }
  frame_builder& message(std::string content) {
    messages_.push_back({.content = std::move(content),
                         .before = static_cast<std::uint32_t>(changes_.size()),
                         .transaction = static_cast<std::uint32_t>(transactions_.size() - 1)});
    return *this;
  }
  /// Whatever else the frame is to hold.
  frame_builder& with(std::function<void(schema::Frame::Builder)> fill) {
    fill_ = std::move(fill);
    return *this;
  }
  frame_builder& commit() {
    transactions_.back().ends = true;
    return stop();
  }
  /// The transaction goes on in the next frame.
  frame_builder& stop() {
    auto& open = transactions_.back();
    open.count = static_cast<std::uint32_t>(changes_.size()) - open.first;
    return *this;
  }

  frame build() const {
    capnp::MallocMessageBuilder builder;
    auto root = builder.initRoot<schema::Frame>();
    root.setTerm(term_);
    auto transactions = root.initTransactions(static_cast<unsigned>(transactions_.size()));
    for (unsigned i = 0; i < transactions.size(); ++i) {
      const auto& from = transactions_[i];
      auto to = transactions[i];
      to.setCommitLsn(from.commit);
      to.setEndLsn(from.ends ? from.commit + 8 : 0);
      to.setXid(from.xid);
      to.setFirstChange(from.first);
      to.setChangeCount(from.count);
      to.setBegins(from.begins);
      to.setEnds(from.ends);
      to.setFirstPosition(from.position);
    }
    auto changes = root.initChanges(static_cast<unsigned>(changes_.size()));
    for (unsigned i = 0; i < changes.size(); ++i) {
      const auto& from = changes_[i];
      auto to = changes[i];
      to.setKind(from.kind);
      to.setRelation(from.relation);
      to.setOldAt(from.old_at);
      to.setOldBytes(from.old_bytes);
      to.setNewAt(from.new_at);
      to.setNewBytes(from.new_bytes);
      to.setKeyOnly(from.key_only);
    }
    auto relations = root.initRelations(static_cast<unsigned>(relations_.size()));
    for (unsigned i = 0; i < relations.size(); ++i) {
      const auto& from = relations_[i];
      auto to = relations[i];
      to.setOid(from.oid);
      to.setSchema("public");
      to.setName(from.name);
      to.setBeforeChange(from.before);
      to.setIdentityFull(from.identity_full);
      auto ancestors = to.initAncestors(static_cast<unsigned>(from.ancestors.size()));
      for (unsigned a = 0; a < ancestors.size(); ++a) {
        ancestors[a].setOid(from.ancestors[a].first);
        ancestors[a].setAttachedXid(from.ancestors[a].second);
      }
      auto columns = to.initColumns(static_cast<unsigned>(from.columns.size()));
      for (unsigned c = 0; c < columns.size(); ++c) {
        columns[c].setName(from.columns[c].first);
        columns[c].setTypeOid(from.columns[c].second);
        columns[c].setTypeModifier(-1);
      }
    }
    auto messages = root.initMessages(static_cast<unsigned>(messages_.size()));
    for (unsigned i = 0; i < messages.size(); ++i) {
      const auto& from = messages_[i];
      messages[i].setContent(data(from.content));
      messages[i].setBeforeChange(from.before);
      messages[i].setTransaction(from.transaction);
    }
    root.setRows(data(rows_));
    if (fill_)
      fill_(root);
    return frame::build(builder);
  }

private:
  struct transaction {
    std::uint64_t commit = 0;
    std::uint32_t xid = 0;
    std::uint32_t first = 0;
    std::uint32_t count = 0;
    bool begins = true;
    bool ends = false;
    std::uint64_t position = 0;
  };
  struct row_change {
    schema::Change::Kind kind;
    std::uint32_t relation = 0;
    std::uint32_t old_at = 0, old_bytes = 0, new_at = 0, new_bytes = 0;
    bool key_only = false;
  };
  struct described {
    std::uint32_t oid = 0;
    std::string name;
    std::vector<std::pair<std::string, std::uint32_t>> columns;
    std::uint32_t before = 0;
    bool identity_full = true;
    std::vector<std::pair<std::uint32_t, std::uint32_t>> ancestors = {};
  };
  struct logical_message {
    std::string content;
    std::uint32_t before = 0;
    std::uint32_t transaction = 0;
  };

  static capnp::Data::Reader data(const std::string& bytes) {
    return {reinterpret_cast<const capnp::byte*>(bytes.data()), bytes.size()};
  }
  std::pair<std::uint32_t, std::uint32_t> add_row(const image_row& row) {
    if (row.empty())
      return {0, 0};
    const auto bytes = row_bytes(row);
    const auto at = static_cast<std::uint32_t>(rows_.size());
    rows_ += bytes;
    return {at, static_cast<std::uint32_t>(bytes.size())};
  }
  frame_builder& change(schema::Change::Kind kind, std::uint32_t relation, const image_row& before,
                        const image_row& after) {
    row_change made{.kind = kind, .relation = relation};
    std::tie(made.old_at, made.old_bytes) = add_row(before);
    std::tie(made.new_at, made.new_bytes) = add_row(after);
    changes_.push_back(made);
    return *this;
  }

  std::uint64_t term_;
  std::vector<transaction> transactions_;
  std::vector<row_change> changes_;
  std::vector<described> relations_;
  std::vector<logical_message> messages_;
  std::string rows_;
  std::function<void(schema::Frame::Builder)> fill_;
};

} // namespace busbar::testing
