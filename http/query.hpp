// http/query.hpp: the query string of a request, decoded (spec shape-protocol 5.1).
#pragma once

#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

namespace busbar::http {

/// The value of one parameter: `a=text`, `a[]=item` or `a[key]=member`.
struct query_value {
  enum class form { text, list, object };
  form is = form::text;
  std::string text;
  std::vector<std::string> items;
  /// In order of appearance, a repeated key several times. A member that is itself a list or an
  /// object has no text.
  std::vector<std::pair<std::string, std::optional<std::string>>> members;
  /// Of `a[key][name]=text`, where `key` is also among the members.
  struct inner_member {
    std::string key;
    std::string name;
    std::string text;
  };
  std::vector<inner_member> inner;
};

class query {
public:
  /// nullopt if a key or a value is not UTF-8 after decoding. Malformed percent sequences are taken
  /// literally.
  static std::optional<query> parse(std::string_view raw);

  /// The last value given for `name`; null if there is none.
  const query_value* find(std::string_view name) const noexcept;

  bool has_key_with_prefix(std::string_view prefix) const noexcept;

  /// From now on `name` has this value only.
  void set(std::string name, query_value value);
  /// One pass, however many names there are.
  void remove(const std::set<std::string_view>& names);

private:
  void add(std::string key, std::string value);
  query_value& nested(std::string_view name, query_value::form form);

  // Searched from the back: a linear search in a dozen short entries beats a map, and appending
  // keeps a hostile query of thousands of keys linear.
  std::vector<std::pair<std::string, query_value>> values_;
};

/// Decodes %XX, and + if `plus_is_space`.
std::string percent_decode(std::string_view text, bool plus_is_space);

} // namespace busbar::http
