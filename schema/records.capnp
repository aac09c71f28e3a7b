@0xe4a1938c5f6b07d2;
# Values in the column families "directory" and "node" (storage/keys.hpp). ON DISK. Evolution: as
# frame.capnp.
$import "/capnp/c++.capnp".namespace("busbar::schema");

using Table = import "table.capnp".Table;

struct ShapeRecord {
  # Family "directory": what a shape is and how its initial snapshot went.

  handle @0 :Text;
  createdLsn @1 :UInt64;     # its creation message's commit LSN: only later commits are appended
  table @2 :Table;
  selected @3 :List(UInt16); # indices into table.columns, ascending
  selectsAll @4 :Bool;       # the request left `columns` out
  where @5 :Text;            # as given; empty = every row
  parameters @6 :List(Text); # $1, $2, …
  replicaFull @7 :Bool;
  changesOnly @8 :Bool;
  snapshotComplete @9 :Bool;
  snapshotChunks @10 :UInt64;
  xmin @11 :UInt64;
  xmax @12 :UInt64;
  xip @13 :List(UInt64);
  obsoleteCanonicalWhere @14 :Text; # found anew when the clause is compiled
  inner @15 :List(UInt64);   # ids of the sets that its subqueries select, in their order
  values @16 :List(UInt16);  # of a set: the columns that it is asked for, as indices into the table's
  withoutNull @17 :Bool;     # of a set: somebody relies on their being NOT NULL
  tableDigest @18 :Data;     # instead of `table`: the name under which it is stored, once for all shapes
}

struct NodeRecord {
  # Family "node", key "identity": whose data this store holds.
  formatVersion @0 :UInt32;
  systemId @1 :Text;
  timeline @2 :UInt32;
  database @3 :Text;
  streamId @4 :Text;
}
