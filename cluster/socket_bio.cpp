#include "cluster/socket_bio.hpp"

#include <openssl/bio.h>
#include <sys/socket.h>

#include <cerrno>
#include <memory>

namespace busbar::cluster {
namespace {

socket_end& end_of(BIO* bio) {
  return *static_cast<socket_end*>(BIO_get_data(bio));
}

bool passes(int why) {
  return why == EAGAIN || why == EWOULDBLOCK || why == EINTR;
}

int write_socket(BIO* bio, const char* from, int bytes) {
  BIO_clear_retry_flags(bio);
  const auto& end = end_of(bio);
  const auto done = ::send(end.descriptor, from, static_cast<std::size_t>(bytes),
                           MSG_NOSIGNAL | (end.more_follows ? MSG_MORE : 0));
  if (done < 0 && passes(errno))
    BIO_set_retry_write(bio);
  return static_cast<int>(done);
}

int read_socket(BIO* bio, char* to, int bytes) {
  BIO_clear_retry_flags(bio);
  const auto done = ::recv(end_of(bio).descriptor, to, static_cast<std::size_t>(bytes), 0);
  if (done < 0 && passes(errno))
    BIO_set_retry_read(bio);
  return static_cast<int>(done);
}

long control(BIO*, int command, long, void*) {
  return command == BIO_CTRL_FLUSH ? 1 : 0;
}

struct method_end {
  void operator()(BIO_METHOD* method) const noexcept { BIO_meth_free(method); }
};
using method_pointer = std::unique_ptr<BIO_METHOD, method_end>;

method_pointer make_method() {
  method_pointer out{
      BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK | BIO_TYPE_DESCRIPTOR, "link")};
  if (out) {
    BIO_meth_set_write(out.get(), write_socket);
    BIO_meth_set_read(out.get(), read_socket);
    BIO_meth_set_ctrl(out.get(), control);
  }
  return out;
}

} // namespace

bio_st* make_socket_bio(socket_end& end) {
  static const auto method = make_method();
  BIO* bio = method ? BIO_new(method.get()) : nullptr;
  if (bio != nullptr) {
    BIO_set_data(bio, &end);
    BIO_set_init(bio, 1);
  }
  return bio;
}

} // namespace busbar::cluster
