// sql/scalars.hpp: integers, floats, booleans, uuids and bytea, as text and back.
#pragma once

#include "sql/value.hpp"

#include <cstdint>
#include <string>
#include <string_view>

namespace busbar::sql {

/// `t` is int2, int4 or int8.
reading read_integer(type t, std::string_view text, std::int64_t& out) noexcept;
reading read_boolean(std::string_view text, std::int64_t& out) noexcept;

reading read_float4(std::string_view text, double& out) noexcept;
reading read_float8(std::string_view text, double& out) noexcept;
void append_float4(std::string& out, double x);
void append_float8(std::string& out, double x);

reading read_uuid(std::string_view text, value& out) noexcept;
void append_uuid(std::string& out, const value& v);

/// `out` is in lower-case hex with \x before it, the form whose order is that of the bytes.
reading read_bytea(std::string_view text, std::string_view& out, workspace& space) noexcept;

} // namespace busbar::sql
