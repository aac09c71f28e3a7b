@0xd1f5a3c87e20b946;
# What the leader decoded from PostgreSQL, once, for every node. Nodes read these bytes in place.
#
# Evolution: add at the end, with the next ordinal; never renumber, reuse or retype. A retired field
# keeps its ordinal, renamed obsolete…; a new field's default means "written before it existed".
$import "/capnp/c++.capnp".namespace("busbar::schema");

using Tables = import "table.capnp";

struct Frame {
  # A run of consecutive committed transactions in WAL order. A transaction too large for one frame
  # spreads over several: only its first piece `begins`, only its last piece `ends`.

  term @0 :UInt64;
  # Of the leader that built it. A node drops a frame whose term is below the highest it has seen.

  transactions @1 :List(Transaction);

  changes @2 :List(Change);
  # All changes of all transactions of this frame, in order.

  relations @3 :List(Relation);
  # Relations that are new or have changed since the frame before.

  messages @4 :List(Message);
  # Busbar's logical messages (prefix "busbar"), unverified.

  rows @5 :Data;
  # The row images that `changes` point into. One image: number of columns (u16), then for each
  # column 'n' for NULL, or 't', length (u32) and the text. Integers are big-endian, as PostgreSQL
  # sends them. Unchanged TOAST values have been filled in from the old image.

  tables @6 :List(Tables.TableFacts);
  # What the catalog said, when this frame was built, of the relations that PostgreSQL described
  # anew in it, and of the tables above those. It describes them anew after whatever may have
  # changed them, also where the description reads the same.

  tablesSeen @7 :Tables.Visibility;
  # The catalog was read as of this, which is never before the changes of this frame.
}

struct Transaction {
  commitLsn @0 :UInt64;      # of the commit record: the first half of every offset
  endLsn @1 :UInt64;         # end of the commit record; 0 while the transaction has not ended
  commitMicros @2 :Int64;    # microseconds since 2000-01-01 UTC
  xid @3 :UInt32;
  firstChange @4 :UInt32;    # index into Frame.changes
  changeCount @5 :UInt32;
  begins @6 :Bool;
  ends @7 :Bool;
  firstPosition @8 :UInt64;
  # Of the first change in this frame; each further change is 2 higher (protocol 7: the odd values
  # belong to the second half of a changed primary key).
}

struct Change {
  enum Kind {
    insert @0;
    update @1;
    delete @2;
    truncate @3;
  }
  kind @0 :Kind;
  relation @1 :UInt32;       # oid, described by a Relation of this frame or an earlier one
  oldAt @2 :UInt32;          # byte offset into Frame.rows
  oldBytes @3 :UInt32;       # 0 if there is no old image
  newAt @4 :UInt32;
  newBytes @5 :UInt32;       # 0 if there is no new image
  keyOnly @6 :Bool;
  # The old image has only the identity columns, the others are NULL: the table lost REPLICA
  # IDENTITY FULL.
}

struct Relation {
  oid @0 :UInt32;
  schema @1 :Text;
  name @2 :Text;
  columns @3 :List(Column);  # as streamed: without dropped columns, and before 18 without generated
  beforeChange @4 :UInt32;   # it holds from this index of Frame.changes on
  identityFull @5 :Bool;
  ancestors @6 :List(Ancestor);
  # The partitioned tables above it, the nearest first: its changes are theirs, too.

  struct Ancestor {
    oid @0 :UInt32;
    attachedXid @1 :UInt32;
    # Of the transaction that put what stands below into this table, if that had been a table of its
    # own before: its rows came without a change. 0 if it was made as a partition.
  }

  struct Column {
    name @0 :Text;
    typeOid @1 :UInt32;
    typeModifier @2 :Int32;
  }
}

struct Message {
  content @0 :Data;
  beforeChange @1 :UInt32;   # its place among Frame.changes
  transaction @2 :UInt32;    # index into Frame.transactions
}
