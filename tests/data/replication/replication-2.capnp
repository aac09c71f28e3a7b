@0xf2d86a41b07c93e5;
# schema/replication.capnp as an invented next version might be: the messages in 2/ are written with it.

struct TermStart {
  # What a leader of this term wrote comes after this sequence number of the store.
  term @0 :UInt64;
  first @1 :UInt64;
}

struct FollowRequest {
  # The first message of a link of the purpose "follow", by the follower.
  lineage @0 :List(TermStart);
  sequence @1 :UInt64;       # the last that its store has
  zone @2 :Text;
}

struct FollowReply {
  union {
    goOn @0 :UInt64;         # the leader's term; what comes after `sequence` follows
    copy @1 :Text;           # why the follower must copy the leader's store first
    refused @2 :Text;        # why it can have neither, now
    later @4 :UInt32;
  }
  term @3 :UInt64;           # with copy: the leader's
  lag @5 :UInt64;
}

struct FromLeader {
  term @0 :UInt64;
  batches @1 :List(Batch);   # in order, without gaps
  progress @2 :Progress;     # after those batches
  behind @3 :List(Behind);   # in the first: shapes that had not yet all that is promised
  compressed @4 :Bool;
  remark @5 :Text;

  struct Batch {
    first @0 :UInt64;        # sequence number
    count @1 :UInt32;
    bytes @2 :Data;          # as RocksDB writes it
    digest @3 :UInt64;
  }

  struct Behind {
    shape @0 :UInt64;
    behind @1 :UInt64;       # as in a note
    since @2 :UInt64;
  }

  struct Progress {
    sequence @0 :UInt64;     # once the follower has applied this, …
    lastSeen @1 :UInt64;     # … it may promise its clients all changes up to here
    streaming @2 :Bool;      # the leader has a stream from PostgreSQL
    inSync @3 :Bool;         # the leader counts on the follower: nothing is forgotten that it lacks
    clock @4 :UInt64;
  }
}

struct FromFollower {
  applied @0 :UInt64;        # sequence number
  synced @1 :UInt64;
  free @2 :UInt64;
}

struct CopyRequest {
  # The first message of a link of the purpose "copy".
  obsolete @0 :Bool;
  without @1 :List(Text);
}

struct CopyPart {
  union {
    piece @0 :Piece;
    end @1 :Void;            # the copy is whole
    refused @2 :Text;
    files @3 :List(File);    # the first: all that will come
    delta @4 :Data;
  }

  struct File {
    name @0 :Text;
    size @1 :UInt64;
    digest @2 :Data;
  }

  struct Piece {
    file @0 :Text;
    offset @1 :UInt64;
    bytes @2 :Data;
    digest @3 :UInt64;
  }
}

struct Question {
  # By a follower, to the leader.
  union {
    find @0 :ShapeRequest;   # have the shape of this definition ready
    drop @1 :Text;           # a client asked for the removal of this handle
    invalid @2 :Invalid;     # the shape is no longer right
    covers @3 :Covers;       # whether this snapshot sees all that has committed up to here
    barrier @4 :Void;        # nothing but the sequence number
    reads @5 :List(UInt64);  # shapes that were read here lately
    watch @6 :Text;
  }

  struct Invalid {
    handle @0 :Text;
    reason @1 :Text;
    when @2 :UInt64;
  }

  struct Covers {
    shape @0 :UInt64;
    xmin @1 :UInt64;
    xmax @2 :UInt64;
    xip @3 :List(UInt64);
    upto @4 :UInt64;
    why @5 :Text;
  }
}

struct ShapeRequest {
  schema @0 :Text;
  table @1 :Text;
  where @2 :Text;
  parameters @3 :List(Text);
  columns @4 :List(Text);
  hasColumns @5 :Bool;
  queryableColumns @6 :List(Text);
  hasQueryableColumns @7 :Bool;
  replicaFull @8 :Bool;
  changesOnly @9 :Bool;
  tenant @10 :Text;
}

struct Answer {
  sequence @0 :UInt64;       # what the answer speaks of is in the store from here on
  yes @1 :Bool;              # to `covers`
  failed @2 :Bool;           # then the rest says why (base/result.hpp)
  code @3 :UInt8;
  message @4 :Text;
  field @5 :Text;
  known @6 :Bool;
  retryAfter @7 :UInt32;
}

struct Heads {
  # What a batch of a materializer makes visible.
  moves @0 :List(Move);
  term @1 :UInt64;

  struct Move {
    shape @0 :UInt64;
    tx @1 :UInt64;           # head
    op @2 :Int64;
    hasBoundaries @3 :Bool;
    behind @4 :UInt64;       # as shape_progress::behind
    entries @5 :UInt64;
  }
}
