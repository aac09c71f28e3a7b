// cluster/socket_bio.hpp: how OpenSSL reads and writes a socket of ours: never with SIGPIPE.
#pragma once

struct bio_st;

namespace busbar::cluster {

/// For SSL_set_bio(), which takes it; does not own the descriptor. nullptr without memory.
bio_st* make_socket_bio(int descriptor);

} // namespace busbar::cluster
