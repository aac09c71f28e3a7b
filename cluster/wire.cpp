#include "cluster/wire.hpp"

#include "schema/link.capnp.h"

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <kj/exception.h>

#include <cstring>
#include <utility>

namespace busbar::cluster::wire {
namespace {

std::string to_text(capnp::Text::Reader text) {
  return {text.begin(), text.size()};
}

std::string to_bytes(capnp::Data::Reader data) {
  return {reinterpret_cast<const char*>(data.begin()), data.size()};
}

capnp::Data::Reader as_data(const std::string& bytes) {
  return {reinterpret_cast<const kj::byte*>(bytes.data()), bytes.size()};
}

void write(schema::Hello::Builder out, const hello& in) {
  out.setOldestProtocol(in.oldest_protocol);
  out.setNewestProtocol(in.newest_protocol);
  out.setStorageFormat(in.storage_format);
  out.setOldestStorageFormat(in.oldest_storage_format);
  out.setStreamId(in.stream_id);
  out.setSystemId(in.system_id);
  out.setName(in.name);
  out.setInstance(in.instance);
  out.setVersion(in.version);
  out.setPurpose(in.why == purpose::follow ? schema::Purpose::FOLLOW
                 : in.why == purpose::copy ? schema::Purpose::COPY
                                           : schema::Purpose::PEER);
}

/// nullopt for a purpose that only a newer version knows.
std::optional<hello> read(schema::Hello::Reader in) {
  hello out;
  out.oldest_protocol = in.getOldestProtocol();
  out.newest_protocol = in.getNewestProtocol();
  out.storage_format = in.getStorageFormat();
  out.oldest_storage_format = in.getOldestStorageFormat();
  out.stream_id = to_text(in.getStreamId());
  out.system_id = to_text(in.getSystemId());
  out.name = to_text(in.getName());
  out.instance = in.getInstance();
  out.version = to_text(in.getVersion());
  switch (in.getPurpose()) {
  case schema::Purpose::PEER:
    out.why = purpose::peer;
    return out;
  case schema::Purpose::FOLLOW:
    out.why = purpose::follow;
    return out;
  case schema::Purpose::COPY:
    out.why = purpose::copy;
    return out;
  }
  return std::nullopt;
}

void write(schema::MemberStatus::Builder out, const member_status& in) {
  using role = schema::MemberStatus::Role;
  out.setName(in.name);
  out.setVersion(in.version);
  out.setRole(in.role == member_role::leader     ? role::LEADER
              : in.role == member_role::follower ? role::FOLLOWER
                                                 : role::STARTING);
  out.setTerm(in.term);
  out.setSequence(in.sequence);
  out.setSyncedSequence(in.synced_sequence);
  out.setLineageTerm(in.lineage_term);
  out.setLastSeenLsn(to_number(in.last_seen));
  out.setDurableLsn(to_number(in.durable));
  out.setShapes(in.shapes);
  out.setClients(in.clients);
  out.setInSync(in.in_sync);
  out.setLeader(in.leader);
  out.setMayLead(in.may_lead);
  out.setDraining(in.draining);
  out.setSystemId(in.system_id);
  out.setAwaySince(in.away_since);
}

member_status read(schema::MemberStatus::Reader in) {
  using role = schema::MemberStatus::Role;
  member_status out;
  out.name = to_text(in.getName());
  out.version = to_text(in.getVersion());
  // A role that is not known leads nothing and follows nothing that we understand.
  out.role = in.getRole() == role::LEADER     ? member_role::leader
             : in.getRole() == role::FOLLOWER ? member_role::follower
                                              : member_role::starting;
  out.term = in.getTerm();
  out.sequence = in.getSequence();
  out.synced_sequence = in.getSyncedSequence();
  out.lineage_term = in.getLineageTerm();
  out.last_seen = lsn{in.getLastSeenLsn()};
  out.durable = lsn{in.getDurableLsn()};
  out.shapes = in.getShapes();
  out.clients = in.getClients();
  out.in_sync = in.getInSync();
  out.leader = to_text(in.getLeader());
  out.may_lead = in.getMayLead();
  out.draining = in.getDraining();
  out.system_id = to_text(in.getSystemId());
  out.away_since = in.getAwaySince();
  return out;
}

struct writer {
  schema::LinkMessage::Builder out;

  void operator()(const hello& in) { write(out.initHello(), in); }
  void operator()(const refusal& in) { out.setRefusal(in.reason); }
  void operator()(const heartbeat& in) {
    auto beat = out.initHeartbeat();
    beat.setNumber(in.number);
    beat.setEcho(in.echo);
    beat.setHeldMicros(in.held_micros);
    write(beat.initStatus(), in.status);
  }
  void operator()(const request& in) {
    auto question = out.initRequest();
    question.setId(in.id);
    question.setBody(as_data(in.body));
  }
  void operator()(const reply& in) {
    auto answer = out.initReply();
    answer.setId(in.id);
    answer.setBody(as_data(in.body));
    answer.setFailure(in.failure);
  }
};

std::optional<message> read(schema::LinkMessage::Reader in) {
  switch (in.which()) {
  case schema::LinkMessage::HELLO:
    if (auto said = read(in.getHello()))
      return std::move(*said);
    return std::nullopt;
  case schema::LinkMessage::REFUSAL:
    return refusal{to_text(in.getRefusal())};
  case schema::LinkMessage::HEARTBEAT: {
    const auto beat = in.getHeartbeat();
    return heartbeat{read(beat.getStatus()), beat.getNumber(), beat.getEcho(),
                     beat.getHeldMicros()};
  }
  case schema::LinkMessage::REQUEST:
    return request{in.getRequest().getId(), to_bytes(in.getRequest().getBody())};
  case schema::LinkMessage::REPLY: {
    const auto answer = in.getReply();
    return reply{answer.getId(), to_bytes(answer.getBody()), to_text(answer.getFailure())};
  }
  }
  return std::nullopt;
}

} // namespace

std::string encode(const message& what) {
  capnp::MallocMessageBuilder builder;
  std::visit(writer{builder.initRoot<schema::LinkMessage>()}, what);
  const auto words = capnp::messageToFlatArray(builder);
  const auto bytes = words.asBytes();
  return {reinterpret_cast<const char*>(bytes.begin()), bytes.size()};
}

result<std::optional<message>> decode(std::string_view bytes) {
  if (bytes.empty() || bytes.size() % sizeof(capnp::word) != 0)
    return fail(errc::corrupt, "link message of " + std::to_string(bytes.size()) + " bytes");
  std::optional<message> out;
  auto problem = kj::runCatchingExceptions([&] {
    auto words = kj::heapArray<capnp::word>(bytes.size() / sizeof(capnp::word));
    std::memcpy(words.begin(), bytes.data(), bytes.size());
    capnp::FlatArrayMessageReader reader{words.asPtr()};
    out = read(reader.getRoot<schema::LinkMessage>());
  });
  KJ_IF_MAYBE (what, problem)
    return fail(errc::corrupt, std::string{"link message: "} + what->getDescription().cStr());
  return out;
}

} // namespace busbar::cluster::wire
