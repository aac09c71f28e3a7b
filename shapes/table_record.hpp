// shapes/table_record.hpp: tables as they stand in stored records and in frames
// (schema/table.capnp). Decoding throws kj::Exception on bytes that break the format, as reading
// them in place would.
#pragma once

#include "base/snapshot.hpp"
#include "schema/table.capnp.h"
#include "shapes/table.hpp"

namespace busbar {

void encode(schema::Table::Builder out, const table_info& table);
table_info decode(schema::Table::Reader in);

void encode(schema::TableFacts::Builder out, const table_facts& facts);
table_facts decode(schema::TableFacts::Reader in);

void encode(schema::Visibility::Builder out, const snapshot& seen);
snapshot decode(schema::Visibility::Reader in);

} // namespace busbar
