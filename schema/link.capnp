@0xe3a94c17d05b62f8;
# What two members of a cluster say to each other over a link (cluster/link.hpp: TLS, each message
# behind its length). Both sides begin with `hello` or `refusal`. After that a peer link carries
# heartbeats, questions and answers, both ways; follow and copy links carry what their purpose says.
#
# Members of adjacent versions run side by side while a cluster is upgraded. Evolution: add at the
# end, with the next ordinal; never renumber, reuse or retype. Whoever reads ignores fields and
# kinds that it does not know; a new field's default means "said by one that does not know it".
$import "/capnp/c++.capnp".namespace("busbar::schema");

struct LinkMessage {
  union {
    hello @0 :Hello;
    refusal @1 :Text;        # why the link is closed, for humans
    heartbeat @2 :Heartbeat;
    request @3 :Request;
    reply @4 :Reply;
  }
}

struct Hello {
  oldestProtocol @0 :UInt32; # the versions of this file that the speaker understands, inclusive;
  newestProtocol @1 :UInt32; # the newest that both do is spoken
  storageFormat @2 :UInt32;
  streamId @3 :Text;
  systemId @4 :Text;         # of PostgreSQL; empty while unknown
  name @5 :Text;             # the address that it advertises
  instance @6 :UInt64;       # random, of the process
  version @7 :Text;          # for humans
  purpose @8 :Purpose;       # said by the one that dials
  oldestStorageFormat @9 :UInt32; # a leader of this format, or a later one up to its own, it can
                             # follow, and copy; 0: only one of its own
}

enum Purpose {
  peer @0;
  follow @1;
  copy @2;
}

struct Heartbeat {
  number @0 :UInt64;         # counts up on its link, from 1
  echo @1 :UInt64;           # the last number that came the other way; 0 if none has
  heldMicros @2 :UInt64;     # since that came
  status @3 :MemberStatus;
}

struct MemberStatus {
  enum Role {
    starting @0;
    follower @1;
    leader @2;
  }
  name @0 :Text;
  version @1 :Text;
  role @2 :Role;
  term @3 :UInt64;
  sequence @4 :UInt64;
  syncedSequence @5 :UInt64;
  lineageTerm @6 :UInt64;
  lastSeenLsn @7 :UInt64;
  durableLsn @8 :UInt64;
  shapes @9 :UInt64;
  clients @10 :UInt64;
  inSync @11 :Bool;
  leader @12 :Text;          # whom it follows, by name
  mayLead @13 :Bool;
  draining @14 :Bool;
  systemId @15 :Text;        # of PostgreSQL; empty while unknown
  awaySince @16 :UInt64;     # of a leader without a stream from PostgreSQL: since when (seconds of
                             # Unix time); 0: it has one
}

struct Request {
  id @0 :UInt64;             # counts up on its link
  body @1 :Data;             # the business of who asks and who answers
}

struct Reply {
  id @0 :UInt64;             # of the request
  body @1 :Data;
  failure @2 :Text;          # if not empty: there is no answer, and this is why
}
