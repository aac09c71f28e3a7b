// cluster/socket_bio.hpp: how OpenSSL reads and writes a socket of ours: never with SIGPIPE.
#pragma once

struct bio_st;

namespace busbar::cluster {

/// What a socket is written by. Must outlive its BIO.
struct socket_end {
  int descriptor = -1;
  bool more_follows = false; ///< The kernel may wait for more, and send it together.
};

/// For SSL_set_bio(), which takes it; does not own the descriptor. nullptr without memory.
bio_st* make_socket_bio(socket_end& end);

} // namespace busbar::cluster
