#include "storage/node_record.hpp"

#include "schema/records.capnp.h"

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <kj/exception.h>

#include <cstring>

namespace busbar::storage {

std::string encode(const node_identity& who) {
  capnp::MallocMessageBuilder message;
  auto out = message.initRoot<schema::NodeRecord>();
  out.setFormatVersion(format_version);
  out.setSystemId(who.system_id);
  out.setTimeline(who.timeline);
  out.setDatabase(who.database);
  out.setStreamId(who.stream_id);
  const auto words = capnp::messageToFlatArray(message);
  const auto bytes = words.asBytes();
  return {reinterpret_cast<const char*>(bytes.begin()), bytes.size()};
}

result<node_identity> decode_identity(std::string_view bytes) {
  node_identity who;
  auto problem = kj::runCatchingExceptions([&] {
    auto words = kj::heapArray<capnp::word>(bytes.size() / sizeof(capnp::word));
    std::memcpy(words.begin(), bytes.data(), words.size() * sizeof(capnp::word));
    capnp::FlatArrayMessageReader reader{words.asPtr()};
    const auto in = reader.getRoot<schema::NodeRecord>();
    who = {in.getSystemId().cStr(), in.getTimeline(), in.getDatabase().cStr(),
           in.getStreamId().cStr()};
  });
  KJ_IF_MAYBE (what, problem)
    return fail(errc::corrupt, std::string{"storage: identity: "} + what->getDescription().cStr());
  return who;
}

} // namespace busbar::storage
