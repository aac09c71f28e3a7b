@0xc3a95d0e7716fb24;
# What PostgreSQL's catalog says of a table: in stored records and in frames. ON DISK. Evolution: as
# frame.capnp.
$import "/capnp/c++.capnp".namespace("busbar::schema");

struct Table {
  oid @0 :UInt32;
  schema @1 :Text;
  name @2 :Text;
  columns @3 :List(Column);
  partitioned @4 :Bool;
  databaseOrderedBytewise @5 :Bool = true;
  databaseCtype @6 :Text;
}

struct Column {
  name @0 :Text;
  typeOid @1 :UInt32;
  typeModifier @2 :Int32;
  typeName @3 :Text;         # pg_type.typname; of the element type for an array
  dimensions @4 :Int32;
  notNull @5 :Bool;
  keyIndex @6 :Int32 = -1;   # 0-based position in the primary key
  generated @7 :Bool;
  orderedBytewise @8 :Bool;
  deterministic @9 :Bool;
  typeClass @10 :Text;       # pg_type.typtype: b, e, d, …
  intervalFields @11 :Text;
  number @12 :Int16;         # pg_attribute.attnum: tells columns apart that have had one name
  ctype @13 :Text;           # of its collation: C, C.UTF-8 or nothing
  enumType @14 :Enum;        # of an enum, or of the enum below a domain
  base @15 :Base;            # of a domain

  struct Enum {
    schema @0 :Text;
    name @1 :Text;
    labels @2 :List(Text);   # in the enum's order
  }

  struct Base {
    # What the domain is made of, at the bottom.
    typeName @0 :Text;
    typeClass @1 :Text;
    dimensions @2 :Int32;
    typeModifier @3 :Int32 = -1;
  }
}

struct TableFacts {
  # What must not change unnoticed while a shape follows the table (shapes/upkeep.hpp).

  table @0 :Table;
  publishedBy @1 :List(UInt32);
  # The catalog rows that make the table part of the publication: of pg_publication_rel, of
  # pg_publication_namespace, or of pg_publication itself if that is for all tables. A table that
  # leaves and comes back has another row.
  publicationXid @2 :UInt32;   # the transaction that last wrote the publication's own row
  partitions @3 :List(Partition);
  publishedAbove @4 :List(UInt32); # the rows that make a table above it part of the publication
  placedBy @5 :List(UInt32);       # the transactions that made it, and those above, partitions
  heapFile @6 :UInt32;             # pg_class.relfilenode; 0 = not known, or a table without rows
  toastTable @7 :UInt32;           # pg_class.reltoastrelid
  columnXids @8 :List(UInt32);     # pg_attribute.xmin of the table's columns; empty = not known

  struct Partition {
    # A table somewhere below.
    oid @0 :UInt32;
    attachedXid @1 :UInt32;    # as Relation.Ancestor.attachedXid of frame.capnp, one step up
    heapFile @2 :UInt32;       # as above
    toastTable @3 :UInt32;
  }
}

struct Visibility {
  # A snapshot: pg_current_snapshot().
  xmin @0 :UInt64;
  xmax @1 :UInt64;
  xip @2 :List(UInt64);
}

struct KnownFacts {
  # Family "directory": what was last known of a shape's table, and when it was known.
  facts @0 :TableFacts;        # without the table if that is as in the ShapeRecord
  seen @1 :Visibility;
}
