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

/// The table itself is left out where it is the one `given`, which decode() must then be given,
/// too.
void encode(schema::TableFacts::Builder out, const table_facts& facts,
            const table_info* given = nullptr);
table_facts decode(schema::TableFacts::Reader in, const table_info* given = nullptr);

void encode(schema::Visibility::Builder out, const snapshot& seen);
snapshot decode(schema::Visibility::Reader in);

} // namespace busbar
