// sql/json.hpp: jsonb. Its output text is a normal form (keys in order, one way to write a string),
// so values are kept as that text, and parts of a value are parts of the text.
#pragma once

#include "sql/value.hpp"

#include <cstdint>
#include <string_view>
#include <vector>

namespace busbar::sql {

/// Any JSON text, as jsonb prints it.
reading read_json(std::string_view text, std::string_view& out, workspace& space) noexcept;

bool json_equal(std::string_view a, std::string_view b) noexcept;

/// a @> b. `failed` if they are nested too deeply.
outcome json_contains(std::string_view a, std::string_view b, value& out) noexcept;

/// j -> key and j -> index; `null` if there is none.
outcome json_member(std::string_view object, std::string_view key, value& out,
                    workspace& space) noexcept;
outcome json_element(std::string_view array, std::int64_t index, value& out) noexcept;

/// What ->> makes of a part: strings without quotes, null as NULL.
outcome json_as_text(std::string_view part, value& out, workspace& space) noexcept;

/// j ? key
bool json_has_key(std::string_view json, std::string_view key, workspace& space) noexcept;

/// What `?` can find: the keys of an object, the strings in an array, a string; with their quotes.
std::vector<std::string_view> json_keys(std::string_view json);

/// `key` with its quotes, as json_keys() has it; empty if memory runs out.
std::string_view json_quoted(std::string_view key, workspace& space) noexcept;

} // namespace busbar::sql
