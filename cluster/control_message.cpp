#include "cluster/control_message.hpp"

#include "schema/control.capnp.h"

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <kj/exception.h>
#include <openssl/crypto.h>
#include <openssl/evp.h>
#include <openssl/hmac.h>

#include <cstring>
#include <utility>

namespace busbar::cluster {

namespace {

constexpr std::size_t mac_bytes = 32;

std::string sign(std::string_view key, std::string_view content) {
  std::string mac(mac_bytes, '\0');
  unsigned length = 0;
  HMAC(EVP_sha256(), key.data(), static_cast<int>(key.size()),
       reinterpret_cast<const unsigned char*>(content.data()), content.size(),
       reinterpret_cast<unsigned char*>(mac.data()), &length);
  return mac;
}

std::string to_text(capnp::Text::Reader text) {
  return {text.begin(), text.size()};
}

create_shape to_create_shape(schema::CreateShape::Reader in) {
  return {to_text(in.getHandle()), to_text(in.getIdentity())};
}

} // namespace

std::string control_key_of(std::string_view cluster_secret) {
  return sign(cluster_secret, "busbar control messages");
}

std::string control_codec::encode(const control_message& message) const {
  capnp::MallocMessageBuilder builder;
  auto out = builder.initRoot<schema::Control>();
  out.setStreamId(stream_id_);
  out.setTerm(message.term);
  if (const auto* create = std::get_if<create_shapes>(&message.what)) {
    auto list = out.initCreateShapes(static_cast<unsigned>(create->size()));
    for (unsigned i = 0; i < list.size(); ++i) {
      list[i].setHandle((*create)[i].handle);
      list[i].setIdentity((*create)[i].identity);
    }
  } else if (const auto* drop = std::get_if<drop_shape>(&message.what)) {
    out.setDropShape(drop->handle);
  } else {
    out.setFence(std::get<fence>(message.what).token);
  }
  const auto words = capnp::messageToFlatArray(builder);
  const auto bytes = words.asBytes();
  const std::string_view content{reinterpret_cast<const char*>(bytes.begin()), bytes.size()};
  return sign(key_, content).append(content);
}

result<control_message> control_codec::decode(std::string_view content) const {
  if (content.size() <= mac_bytes || (content.size() - mac_bytes) % sizeof(capnp::word) != 0)
    return fail(errc::invalid_argument,
                "control message of " + std::to_string(content.size()) + " bytes");
  const auto body = content.substr(mac_bytes);
  const auto mac = sign(key_, body);
  if (CRYPTO_memcmp(mac.data(), content.data(), mac_bytes) != 0)
    return fail(errc::invalid_argument, "control message with a wrong signature");
  control_message message;
  std::string stream;
  bool known = true;
  auto problem = kj::runCatchingExceptions([&] {
    auto words = kj::heapArray<capnp::word>(body.size() / sizeof(capnp::word));
    std::memcpy(words.begin(), body.data(), body.size());
    capnp::FlatArrayMessageReader reader{words.asPtr()};
    const auto in = reader.getRoot<schema::Control>();
    stream = to_text(in.getStreamId());
    message.term = in.getTerm();
    switch (in.which()) {
    case schema::Control::CREATE_SHAPE:
      message.what = create_shapes{to_create_shape(in.getCreateShape())};
      return;
    case schema::Control::CREATE_SHAPES: {
      create_shapes shapes;
      for (const auto shape : in.getCreateShapes())
        shapes.push_back(to_create_shape(shape));
      message.what = std::move(shapes);
      return;
    }
    case schema::Control::DROP_SHAPE:
      message.what = drop_shape{to_text(in.getDropShape())};
      return;
    case schema::Control::FENCE:
      message.what = fence{to_text(in.getFence())};
      return;
    }
    known = false;
  });
  KJ_IF_MAYBE (what, problem)
    return fail(errc::invalid_argument,
                std::string{"control message: "} + what->getDescription().cStr());
  if (!known)
    return fail(errc::invalid_argument, "control message of a newer kind");
  if (stream != stream_id_)
    return fail(errc::invalid_argument, "control message of stream " + stream);
  return message;
}

} // namespace busbar::cluster
