#include "cluster/socket_bio.hpp"

#include <openssl/bio.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstdint>
#include <memory>

namespace busbar::cluster {
namespace {

int descriptor_of(BIO* bio) {
  return static_cast<int>(reinterpret_cast<std::intptr_t>(BIO_get_data(bio)));
}

bool passes(int why) {
  return why == EAGAIN || why == EWOULDBLOCK || why == EINTR;
}

int write_socket(BIO* bio, const char* from, int bytes) {
  BIO_clear_retry_flags(bio);
  const auto done = ::send(descriptor_of(bio), from, static_cast<std::size_t>(bytes), MSG_NOSIGNAL);
  if (done < 0 && passes(errno))
    BIO_set_retry_write(bio);
  return static_cast<int>(done);
}

int read_socket(BIO* bio, char* to, int bytes) {
  BIO_clear_retry_flags(bio);
  const auto done = ::recv(descriptor_of(bio), to, static_cast<std::size_t>(bytes), 0);
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

bio_st* make_socket_bio(int descriptor) {
  static const auto method = make_method();
  BIO* bio = method ? BIO_new(method.get()) : nullptr;
  if (bio != nullptr) {
    BIO_set_data(bio, reinterpret_cast<void*>(static_cast<std::intptr_t>(descriptor)));
    BIO_set_init(bio, 1);
  }
  return bio;
}

} // namespace busbar::cluster
