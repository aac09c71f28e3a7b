@0xb7c2f0e41d9a6358;
# schema/control.capnp as an invented next version might be: the control-… in 2/ are written with it.

struct Control {
  streamId @0 :Text;         # a message of another stream is ignored
  term @1 :UInt64;           # of the leader at the time of writing; 0 if none was known

  sentAt @7 :UInt64;

  union {
    createShape @2 :CreateShape; # one; written before createShapes existed
    dropShape @3 :Text;      # the handle
    createShapes @4 :List(CreateShape);
    fence @5 :Text;          # whoever waits for this has been sent all that committed before
    rename @6 :Text;
  }
}

struct CreateShape {
  handle @0 :Text;
  identity @1 :Text;         # canonical text of the definition
  owner @2 :Text;
}
