#include "shapes/column_type.hpp"

#include "base/json_text.hpp"

#include <cstdio>

namespace busbar {

namespace {

void append_unit(std::string& out, std::uint32_t unit) {
  char text[16];
  std::snprintf(text, sizeof text, "\\u%04x", static_cast<unsigned>(unit));
  out += text;
}

void append_number(std::string& out, std::string_view name, std::int64_t value) {
  out += ",\"";
  out += name;
  out += "\":";
  out += std::to_string(value);
}

/// The type modifier in its type's own terms (PostgreSQL: src/include/utils/*.h, VARHDRSZ = 4).
void append_modifier(std::string& out, const table_column& column) {
  const auto modifier = column.type_modifier;
  const auto& type = column.type_name;
  if (modifier < 0) {
    return;
  } else if (type == "varchar" || type == "text") {
    append_number(out, "max_length", modifier - 4);
  } else if (type == "bpchar") {
    append_number(out, "length", modifier - 4);
  } else if (type == "bit" || type == "varbit") {
    append_number(out, "length", modifier);
  } else if (type == "time" || type == "timetz" || type == "timestamp" || type == "timestamptz") {
    append_number(out, modifier > 0 ? "precision" : "type_mod", modifier);
  } else if (type == "numeric") {
    append_number(out, "precision", ((modifier - 4) >> 16) & 0xffff);
    // Eleven bits, signed: a scale may be negative since PostgreSQL 15.
    append_number(out, "scale", (((modifier - 4) & 0x7ff) ^ 1024) - 1024);
  } else if (type == "interval") {
    if (!column.interval_fields.empty()) {
      out += ",\"fields\":";
      append_ascii_json(out, column.interval_fields);
    }
    if ((modifier & 0xffff) != 0xffff)
      append_number(out, "precision", modifier & 0xffff);
  } else {
    append_number(out, "type_mod", modifier);
  }
}

} // namespace

void append_ascii_json(std::string& out, std::string_view utf8) {
  std::string escaped;
  append_json_string(escaped, utf8);
  for (std::size_t i = 0; i < escaped.size();) {
    const auto lead = static_cast<unsigned char>(escaped[i]);
    if (lead < 0x7f) {
      out.push_back(escaped[i++]);
      continue;
    }
    if (lead == 0x7f) { // ASCII, but not for a header's value
      append_unit(out, lead);
      ++i;
      continue;
    }
    const std::size_t length = lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : 2;
    std::uint32_t point = lead & (0xffu >> (length + 1));
    for (std::size_t k = 1; k < length && i + k < escaped.size(); ++k)
      point = (point << 6) | (static_cast<unsigned char>(escaped[i + k]) & 0x3fu);
    i += length;
    if (point >= 0x10000) {
      append_unit(out, 0xd800 + ((point - 0x10000) >> 10));
      append_unit(out, 0xdc00 + ((point - 0x10000) & 0x3ff));
    } else {
      append_unit(out, point);
    }
  }
}

void append_type_json(std::string& out, const table_column& column) {
  out += "\"type\":";
  append_ascii_json(out, column.type_name);
  if (column.dimensions > 0)
    append_number(out, "dims", column.dimensions);
  if (column.key_index >= 0)
    append_number(out, "pk_index", column.key_index);
  if (column.not_null)
    out += ",\"not_null\":true";
  append_modifier(out, column);
}

} // namespace busbar
