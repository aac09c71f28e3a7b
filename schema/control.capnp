@0xb7c2f0e41d9a6358;
# What Busbar writes into the WAL with pg_logical_emit_message(true, 'busbar', mac ∥ Control), so
# that every node learns it in the one order that the data has. `mac` is HMAC-SHA256 over the bytes
# of the Control message, 32 bytes. Evolution: as frame.capnp.
$import "/capnp/c++.capnp".namespace("busbar::schema");

struct Control {
  streamId @0 :Text;         # a message of another stream is ignored
  term @1 :UInt64;           # of the leader at the time of writing; 0 if none was known

  union {
    createShape @2 :CreateShape; # one; written before createShapes existed
    dropShape @3 :Text;      # the handle
    createShapes @4 :List(CreateShape);
    fence @5 :Text;          # whoever waits for this has been sent all that committed before
  }
}

struct CreateShape {
  handle @0 :Text;
  identity @1 :Text;         # canonical text of the definition
}
