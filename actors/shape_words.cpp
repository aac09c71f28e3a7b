#include "actors/shape_words.hpp"

#include "base/bytes.hpp"

#include <random>

namespace busbar {

namespace {

/// About 60 bytes each.
constexpr std::size_t known_max = 250'000;

std::string random_secret() {
  std::random_device random;
  std::string secret;
  for (int i = 0; i < 8; ++i)
    append_be32(secret, random());
  return secret;
}

/// Whether these words define this shape. The table is taken as the shape knows it.
bool means(const shape_request& words, const shape_state& shape) {
  const auto& table = shape.definition().table;
  if (table->schema != words.schema || table->name != words.table)
    return false;
  const auto meant = define_shape(words, table, tables_below(shape.definition()));
  return meant && meant->identity() == shape.definition().identity();
}

} // namespace

shape_words::shape_words(const shape_index& index)
    : index_{index}, hash_{random_secret(), "words of shapes"} {}

shape_ptr shape_words::recall(const std::string& key, const shape_query& query) {
  if (const auto known = known_.find(hash_(key)); known != known_.end()) {
    const auto shape = known->second.lock();
    if (shape && !shape->progress().gone)
      return shape;
    known_.erase(known);
  }
  // The request may name a shape that we have: then its words only have to mean that shape.
  if (query.now || query.offset == log_offset::start())
    return nullptr;
  const auto named = index_.find(query.handle);
  if (!named || named->progress().gone)
    return nullptr;
  if (!means(query.shape, *named))
    return nullptr;
  remember(key, named);
  return named;
}

void shape_words::remember(const std::string& key, const shape_ptr& shape) {
  if (known_.size() >= known_max)
    known_.clear();
  known_.insert_or_assign(hash_(key), shape);
}

shape_ptr shape_words::defined_by(const std::string& key, const shape_request& words) {
  table_list inner;
  if (sql::may_have_subqueries(words.where))
    if (const auto named = sql::inner_tables(words.where))
      for (const auto& [schema, name] : *named)
        for (const auto& table : index_.descriptions(schema, name))
          inner.push_back(table);
  for (const auto& table : index_.descriptions(words.schema, words.table)) {
    const auto meant = define_shape(words, table, inner);
    if (!meant)
      continue;
    if (auto shape = index_.find_identity(meant->identity())) {
      remember(key, shape);
      return shape;
    }
  }
  return nullptr;
}

} // namespace busbar
