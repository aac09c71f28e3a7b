#include "sql/plan.hpp"

#include "sql/emit.hpp"
#include "sql/expression.hpp"

#include <map>
#include <optional>
#include <string>
#include <utility>

namespace busbar::sql {
namespace {

using enum_list = std::vector<std::shared_ptr<const enum_type>>;

/// `what` has no subquery in it, or is a membership test. Owned, because a leaf may be made here.
struct literal {
  node_ptr what;
  bool negated = false;
};
using disjunct = std::vector<literal>;

/// The operands of an AND or OR, those without subqueries together where the first of them is.
std::vector<node_ptr> parts_of(const node& junction) {
  std::vector<node_ptr> plain;
  for (const auto& arg : junction.args)
    if (!arg->mentions_subquery)
      plain.push_back(arg);
  std::vector<node_ptr> out;
  bool placed = false;
  for (const auto& arg : junction.args) {
    if (arg->mentions_subquery)
      out.push_back(arg);
    else if (!std::exchange(placed, true))
      out.push_back(plain.size() == 1 ? arg : make(junction.op, plain));
  }
  return out;
}

/// The first complaint is kept; afterwards nothing matters. One run an object.
class planner {
public:
  planner(const enum_list& enums, const predicate_maker& make_predicate)
      : enums_{enums}, make_predicate_{make_predicate} {}

  result<subquery_plan> run(const node_ptr& tree) {
    find_subqueries(*tree);
    polarity_.resize(plan_.subqueries.size());
    for (const auto& all : expand(tree, false)) {
      for (const auto& one : all)
        add_position(one);
      plan_.disjunct_ends.push_back(static_cast<std::uint16_t>(plan_.positions.size()));
    }
    if (error_)
      return fail(std::move(*error_));
    return std::move(plan_);
  }

private:
  void complain(error why) {
    if (!error_)
      error_ = std::move(why);
  }

  /// In the order of the clause, which need not be that of the positions.
  void find_subqueries(const node& n) {
    if (n.op != operation::member) {
      for (const auto& arg : n.args)
        if (arg->mentions_subquery && !error_)
          find_subqueries(*arg);
      return;
    }
    auto sql = to_sql(*n.from);
    if (!sql)
      return complain(std::move(sql).error());
    auto canonical = to_canonical(*n.from);
    const auto index = static_cast<std::uint16_t>(plan_.subqueries.size());
    const auto [known, is_new] = by_canonical_.emplace(canonical, index);
    index_of_.emplace(&n, known->second);
    if (!is_new)
      return;
    subquery made{.schema = n.from->schema,
                  .table = n.from->table,
                  .columns = {},
                  .keys = forms_of(n.from->columns),
                  .where = nullptr,
                  .sql = std::move(*sql),
                  .canonical = std::move(canonical)};
    for (const auto& column : n.from->columns)
      made.columns.push_back(column->column);
    if (n.from->where != nullptr) {
      auto where = make_predicate_(n.from->where, n.from->enums);
      if (!where)
        return complain(std::move(where).error());
      made.where = std::move(*where);
    }
    plan_.subqueries.push_back(std::move(made));
  }

  static std::vector<key_form> forms_of(const std::vector<node_ptr>& columns) {
    std::vector<key_form> out;
    for (const auto& column : columns)
      out.push_back({column->column, column->result, column->result, false});
    return out;
  }

  /// De Morgan on the way down, distribution on the way up: both hold in three-valued logic.
  std::vector<disjunct> expand(const node_ptr& n, bool negated) {
    if (!n->mentions_subquery || n->op == operation::member)
      return {{{n, negated}}};
    if (n->op == operation::negation)
      return expand(n->args[0], !negated);
    if ((n->op == operation::conjunction) == negated) {
      std::vector<disjunct> out;
      for (const auto& part : parts_of(*n)) {
        auto more = expand(part, negated);
        if (!may_have(out.size() + more.size()))
          return {};
        std::move(more.begin(), more.end(), std::back_inserter(out));
      }
      return out;
    }
    std::vector<disjunct> out{{}};
    for (const auto& part : parts_of(*n)) {
      const auto more = expand(part, negated);
      if (!may_have(out.size() * more.size()))
        return {};
      std::vector<disjunct> longer;
      for (const auto& before : out)
        for (const auto& after : more) {
          auto& both = longer.emplace_back(before);
          both.insert(both.end(), after.begin(), after.end());
        }
      out = std::move(longer);
    }
    return out;
  }

  /// More operands never make fewer disjuncts, so what is too much on the way is too much.
  bool may_have(std::size_t disjuncts) {
    if (disjuncts > disjuncts_max)
      complain(refusal(0, "the clause with its subqueries has more than " +
                              std::to_string(disjuncts_max) +
                              " alternatives once AND and OR are multiplied out"));
    return !error_;
  }

  void add_position(const literal& one) {
    if (error_)
      return;
    if (plan_.positions.size() >= positions_max)
      return complain(refusal(0, "the clause with its subqueries has more than " +
                                     std::to_string(positions_max) +
                                     " conditions once AND and OR are multiplied out"));
    position made{.negated = one.negated};
    if (one.what->op == operation::member)
      add_membership(*one.what, made);
    else
      made.leaf = leaf(one.what);
    plan_.positions.push_back(std::move(made));
  }

  void add_membership(const node& n, position& made) {
    made.subquery = index_of_.at(&n);
    made.left = forms_of(n.args);
    auto& polarity = polarity_[made.subquery];
    if (polarity && *polarity != made.negated)
      return complain(refusal(n.location, "one subquery cannot be used both with and without NOT"));
    polarity = made.negated;
    if (made.negated && !n.nullable.empty())
      complain(refusal(n.location, "NOT IN (SELECT …) needs columns that are NOT NULL on both "
                                   "sides, and \"" +
                                       n.nullable + "\" may be NULL"));
  }

  /// The predicate of a part without subqueries, the same for each disjunct that has it.
  std::shared_ptr<const predicate> leaf(const node_ptr& n) {
    auto& known = leaves_[n];
    if (known == nullptr) {
      auto made = make_predicate_(n, enums_);
      if (made)
        known = std::move(*made);
      else
        complain(std::move(made).error());
    }
    return known;
  }

  const enum_list& enums_;
  const predicate_maker& make_predicate_;
  subquery_plan plan_;
  std::map<std::string, std::uint16_t> by_canonical_;
  std::map<const node*, std::uint16_t> index_of_;
  std::map<node_ptr, std::shared_ptr<const predicate>> leaves_;
  std::vector<std::optional<bool>> polarity_; ///< By subquery: is it negated?
  std::optional<error> error_;
};

} // namespace

result<subquery_plan> plan_of(const node_ptr& tree, const enum_list& enums,
                              const predicate_maker& make_predicate) {
  return planner{enums, make_predicate}.run(tree);
}

} // namespace busbar::sql
