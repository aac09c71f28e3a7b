#include "shapes/tagged_rows.hpp"

#include <algorithm>

namespace busbar {

std::string left_side(const table_info& table, const sql::position& position) {
  std::string text;
  for (const auto& form : position.left) {
    text += text.empty() ? "" : ", ";
    text += sql::quoted_identifier(table.columns[form.column].name);
  }
  return position.left.size() == 1 ? text : "(" + text + ")";
}

std::string membership_sql(const table_info& table, const sql::subquery_plan& plan,
                           const sql::position& position) {
  return left_side(table, position) + " IN (" + plan.subqueries[position.subquery].sql + ")";
}

tagged_rows::tagged_rows(const shape_definition& shape, std::string_view secret,
                         std::string_view handle)
    : shape_{&shape}, columns_{shape.selected}, hasher_{secret} {
  const auto* plan = shape.filter ? shape.filter->subqueries() : nullptr;
  if (plan == nullptr)
    return;
  tagger_.emplace(secret, handle, *plan);
  row_.resize(shape.table->columns.size());
  for (const auto& position : plan->positions) {
    for (const auto& form : position.left)
      if (std::find(columns_.begin(), columns_.end(), form.column) == columns_.end())
        columns_.push_back(form.column);
    if (!asks_which())
      continue;
    expressions_.push_back(std::string{"COALESCE("} + (position.negated ? "NOT " : "") + "(" +
                           (position.leaf ? std::string{position.leaf->to_sql()}
                                          : membership_sql(*shape.table, *plan, position)) +
                           "), false)");
  }
}

bool tagged_rows::asks_which() const {
  return shape_->filter->subqueries()->disjunct_ends.size() > 1;
}

row_cells tagged_rows::read(row_cells selected, std::string& headers) {
  const auto shown = selected.first(shape_->selected.size());
  if (!tagger_)
    return shown;
  for (std::size_t i = 0; i < columns_.size(); ++i)
    row_[columns_[i]] = selected[i];
  hasher_.forget();
  const auto& positions = shape_->filter->subqueries()->positions;
  judged_.holds.assign(positions.size(), true);
  judged_.values.assign(positions.size(), std::nullopt);
  for (std::size_t i = 0; i < positions.size(); ++i) {
    if (asks_which()) {
      const auto& holds = selected[columns_.size() + i];
      judged_.holds[i] = holds && *holds == "t";
    }
    digest value;
    if (!positions[i].leaf &&
        hasher_.read(positions[i].left, row_, value) == value_hasher::reading::value)
      judged_.values[i] = value;
  }
  tagger_->append_headers(headers, judged_);
  return shown;
}

} // namespace busbar
