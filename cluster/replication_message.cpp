#include "cluster/replication_message.hpp"

#include "schema/replication.capnp.h"

#include <capnp/message.h>
#include <capnp/serialize.h>
#include <kj/exception.h>
#include <kj/io.h>

#include <cstring>
#include <optional>
#include <utility>

namespace busbar::cluster {

namespace {

class string_output final : public kj::OutputStream {
public:
  explicit string_output(std::string& to) : to_{to} {}
  void write(const void* bytes, std::size_t count) override {
    to_.append(static_cast<const char*>(bytes), count);
  }

private:
  std::string& to_;
};

std::string to_bytes(capnp::MessageBuilder& builder) {
  std::string bytes;
  bytes.reserve(capnp::computeSerializedSizeInWords(builder) * sizeof(capnp::word));
  string_output to{bytes};
  capnp::writeMessage(to, builder);
  return bytes;
}

std::string to_text(capnp::Text::Reader text) {
  return {text.begin(), text.size()};
}

std::string to_string(capnp::Data::Reader data) {
  return {reinterpret_cast<const char*>(data.begin()), data.size()};
}

capnp::Data::Reader blob(std::string_view bytes) {
  return {reinterpret_cast<const capnp::byte*>(bytes.data()), bytes.size()};
}

/// Runs `read` over the message; what Cap'n Proto throws meanwhile becomes an error.
template <class Root, class T, class Read>
result<T> read_message(std::string_view bytes, const Read& read) {
  if (bytes.size() % sizeof(capnp::word) != 0)
    return fail(errc::corrupt, "a message of " + std::to_string(bytes.size()) + " bytes");
  std::optional<result<T>> outcome;
  auto problem = kj::runCatchingExceptions([&] {
    auto words = kj::heapArray<capnp::word>(bytes.size() / sizeof(capnp::word));
    std::memcpy(words.begin(), bytes.data(), bytes.size());
    capnp::ReaderOptions options;
    options.traversalLimitInWords = words.size() * 2 + 1024;
    capnp::FlatArrayMessageReader reader{words.asPtr(), options};
    outcome.emplace(read(reader.getRoot<Root>()));
  });
  KJ_IF_MAYBE (what, problem)
    return fail(errc::corrupt, std::string{"a message: "} + what->getDescription().cStr());
  return *std::move(outcome);
}

template <class T>
result<T> unknown_kind() {
  return fail(errc::invalid_argument, "a message of a newer kind");
}

template <class List>
std::vector<std::string> to_texts(const List& list) {
  std::vector<std::string> texts;
  texts.reserve(list.size());
  for (const auto text : list)
    texts.push_back(to_text(text));
  return texts;
}

template <class List>
void fill(List list, const std::vector<std::string>& texts) {
  for (unsigned i = 0; i < list.size(); ++i)
    list.set(i, texts[i]);
}

unsigned size_of(const std::vector<std::string>& texts) {
  return static_cast<unsigned>(texts.size());
}

void write(schema::ShapeRequest::Builder out, const shape_request& what) {
  out.setSchema(what.schema);
  out.setTable(what.table);
  out.setWhere(what.where);
  fill(out.initParameters(size_of(what.parameters)), what.parameters);
  if (what.columns) {
    out.setHasColumns(true);
    fill(out.initColumns(size_of(*what.columns)), *what.columns);
  }
  if (what.queryable_columns) {
    out.setHasQueryableColumns(true);
    fill(out.initQueryableColumns(size_of(*what.queryable_columns)), *what.queryable_columns);
  }
  out.setReplicaFull(what.replica_full);
  out.setChangesOnly(what.changes_only);
}

shape_request read(schema::ShapeRequest::Reader in) {
  shape_request what;
  what.schema = to_text(in.getSchema());
  what.table = to_text(in.getTable());
  what.where = to_text(in.getWhere());
  what.parameters = to_texts(in.getParameters());
  if (in.getHasColumns())
    what.columns = to_texts(in.getColumns());
  if (in.getHasQueryableColumns())
    what.queryable_columns = to_texts(in.getQueryableColumns());
  what.replica_full = in.getReplicaFull();
  what.changes_only = in.getChangesOnly();
  return what;
}

struct question_writer {
  schema::Question::Builder out;
  void operator()(const find_question& q) { write(out.initFind(), q.what); }
  void operator()(const drop_question& q) { out.setDrop(q.handle); }
  void operator()(const invalid_question& q) {
    auto invalid = out.initInvalid();
    invalid.setHandle(q.handle);
    invalid.setReason(q.reason);
  }
  void operator()(const covers_question& q) {
    auto covers = out.initCovers();
    covers.setShape(storage::to_number(q.shape));
    covers.setXmin(q.sees.xmin);
    covers.setXmax(q.sees.xmax);
    auto xip = covers.initXip(static_cast<unsigned>(q.sees.xip.size()));
    for (unsigned i = 0; i < xip.size(); ++i)
      xip.set(i, q.sees.xip[i]);
    covers.setUpto(q.upto);
  }
  void operator()(const barrier_question&) { out.setBarrier(); }
  void operator()(const reads_question& q) {
    auto reads = out.initReads(static_cast<unsigned>(q.shapes.size()));
    for (unsigned i = 0; i < reads.size(); ++i)
      reads.set(i, storage::to_number(q.shapes[i]));
  }
};

} // namespace

std::string encode(const follow_request& message) {
  capnp::MallocMessageBuilder builder;
  auto out = builder.initRoot<schema::FollowRequest>();
  auto list = out.initLineage(static_cast<unsigned>(message.lineage.size()));
  for (unsigned i = 0; i < list.size(); ++i) {
    list[i].setTerm(message.lineage[i].term);
    list[i].setFirst(message.lineage[i].first);
  }
  out.setSequence(message.sequence);
  return to_bytes(builder);
}

std::string encode(const follow_reply& message) {
  capnp::MallocMessageBuilder builder;
  auto out = builder.initRoot<schema::FollowReply>();
  if (const auto* yes = std::get_if<go_on>(&message))
    out.setGoOn(yes->term);
  else if (const auto* copy = std::get_if<must_copy>(&message)) {
    out.setCopy(copy->why);
    out.setTerm(copy->term);
  } else
    out.setRefused(std::get<refused>(message).why);
  return to_bytes(builder);
}

std::string encode(const from_leader& message) {
  // One segment for all of it.
  std::size_t words = 64 + message.behind.size() * 2;
  for (const auto& batch : message.batches)
    words += 6 + batch.bytes.size() / sizeof(capnp::word);
  capnp::MallocMessageBuilder builder{static_cast<unsigned>(words)};
  auto out = builder.initRoot<schema::FromLeader>();
  out.setTerm(message.term);
  auto list = out.initBatches(static_cast<unsigned>(message.batches.size()));
  for (unsigned i = 0; i < list.size(); ++i) {
    const auto& batch = message.batches[i];
    list[i].setFirst(batch.first);
    list[i].setCount(batch.count);
    list[i].setBytes(blob(batch.bytes));
  }
  auto progress = out.initProgress();
  progress.setSequence(message.progress.sequence);
  progress.setLastSeen(message.progress.last_seen);
  progress.setStreaming(message.progress.streaming);
  progress.setInSync(message.progress.in_sync);
  auto behind = out.initBehind(static_cast<unsigned>(message.behind.size()));
  for (unsigned i = 0; i < behind.size(); ++i) {
    behind[i].setShape(storage::to_number(message.behind[i].shape));
    behind[i].setBehind(message.behind[i].behind);
  }
  return to_bytes(builder);
}

std::string encode(const from_follower& message) {
  capnp::MallocMessageBuilder builder;
  auto out = builder.initRoot<schema::FromFollower>();
  out.setApplied(message.applied);
  out.setSynced(message.synced);
  return to_bytes(builder);
}

std::string encode_copy_request() {
  capnp::MallocMessageBuilder builder;
  builder.initRoot<schema::CopyRequest>();
  return to_bytes(builder);
}

std::string encode(const copy_part& message) {
  capnp::MallocMessageBuilder builder;
  auto out = builder.initRoot<schema::CopyPart>();
  if (const auto* piece = std::get_if<copy_piece>(&message)) {
    auto one = out.initPiece();
    one.setFile(piece->file);
    one.setOffset(piece->offset);
    one.setBytes(blob(piece->bytes));
  } else if (const auto* files = std::get_if<copy_files>(&message)) {
    auto list = out.initFiles(static_cast<unsigned>(files->size()));
    for (unsigned i = 0; i < list.size(); ++i) {
      list[i].setName((*files)[i].name);
      list[i].setSize((*files)[i].size);
    }
  } else if (std::holds_alternative<copy_end>(message)) {
    out.setEnd();
  } else {
    out.setRefused(std::get<refused>(message).why);
  }
  return to_bytes(builder);
}

std::string encode(const question& message) {
  capnp::MallocMessageBuilder builder;
  std::visit(question_writer{builder.initRoot<schema::Question>()}, message);
  return to_bytes(builder);
}

std::string encode(const answer& message) {
  capnp::MallocMessageBuilder builder;
  auto out = builder.initRoot<schema::Answer>();
  out.setSequence(message.sequence);
  out.setYes(message.yes);
  if (message.why.code != errc::ok) {
    out.setFailed(true);
    out.setCode(static_cast<std::uint8_t>(message.why.code));
    out.setMessage(message.why.message);
    out.setField(message.why.field);
    out.setKnown(message.why.known);
  }
  return to_bytes(builder);
}

std::string encode(const std::vector<replicated_head>& heads) {
  capnp::MallocMessageBuilder builder;
  auto moves = builder.initRoot<schema::Heads>().initMoves(static_cast<unsigned>(heads.size()));
  for (unsigned i = 0; i < moves.size(); ++i) {
    moves[i].setShape(storage::to_number(heads[i].shape));
    moves[i].setTx(heads[i].head.tx);
    moves[i].setOp(heads[i].head.op);
    moves[i].setHasBoundaries(heads[i].has_boundaries);
    moves[i].setBehind(heads[i].behind);
  }
  return to_bytes(builder);
}

result<follow_request> read_follow_request(std::string_view bytes) {
  return read_message<schema::FollowRequest, follow_request>(
      bytes, [](const auto& in) -> result<follow_request> {
        follow_request message;
        for (const auto start : in.getLineage())
          message.lineage.push_back({start.getTerm(), start.getFirst()});
        message.sequence = in.getSequence();
        return message;
      });
}

result<follow_reply> read_follow_reply(std::string_view bytes) {
  return read_message<schema::FollowReply, follow_reply>(
      bytes, [](const auto& in) -> result<follow_reply> {
        switch (in.which()) {
        case schema::FollowReply::GO_ON:
          return follow_reply{go_on{in.getGoOn()}};
        case schema::FollowReply::COPY:
          return follow_reply{must_copy{to_text(in.getCopy()), in.getTerm()}};
        case schema::FollowReply::REFUSED:
          return follow_reply{refused{to_text(in.getRefused())}};
        }
        return unknown_kind<follow_reply>();
      });
}

result<from_leader> read_from_leader(std::string_view bytes) {
  return read_message<schema::FromLeader, from_leader>(
      bytes, [](const auto& in) -> result<from_leader> {
        from_leader message;
        message.term = in.getTerm();
        for (const auto batch : in.getBatches())
          message.batches.push_back({.first = batch.getFirst(),
                                     .count = batch.getCount(),
                                     .bytes = to_string(batch.getBytes())});
        const auto progress = in.getProgress();
        message.progress = {.sequence = progress.getSequence(),
                            .last_seen = progress.getLastSeen(),
                            .streaming = progress.getStreaming(),
                            .in_sync = progress.getInSync()};
        for (const auto one : in.getBehind())
          message.behind.push_back({storage::shape_id{one.getShape()}, one.getBehind()});
        return message;
      });
}

result<from_follower> read_from_follower(std::string_view bytes) {
  return read_message<schema::FromFollower, from_follower>(
      bytes, [](const auto& in) -> result<from_follower> {
        return from_follower{.applied = in.getApplied(), .synced = in.getSynced()};
      });
}

result<copy_part> read_copy_part(std::string_view bytes) {
  return read_message<schema::CopyPart, copy_part>(bytes, [](const auto& in) -> result<copy_part> {
    switch (in.which()) {
    case schema::CopyPart::PIECE: {
      const auto piece = in.getPiece();
      return copy_part{copy_piece{.file = to_text(piece.getFile()),
                                  .offset = piece.getOffset(),
                                  .bytes = to_string(piece.getBytes())}};
    }
    case schema::CopyPart::END:
      return copy_part{copy_end{}};
    case schema::CopyPart::FILES: {
      copy_files files;
      for (const auto file : in.getFiles())
        files.push_back({.name = to_text(file.getName()), .size = file.getSize()});
      return copy_part{std::move(files)};
    }
    case schema::CopyPart::REFUSED:
      return copy_part{refused{to_text(in.getRefused())}};
    }
    return unknown_kind<copy_part>();
  });
}

result<question> read_question(std::string_view bytes) {
  return read_message<schema::Question, question>(bytes, [](const auto& in) -> result<question> {
    switch (in.which()) {
    case schema::Question::FIND:
      return question{find_question{read(in.getFind())}};
    case schema::Question::DROP:
      return question{drop_question{to_text(in.getDrop())}};
    case schema::Question::INVALID:
      return question{invalid_question{.handle = to_text(in.getInvalid().getHandle()),
                                       .reason = to_text(in.getInvalid().getReason())}};
    case schema::Question::COVERS: {
      const auto covers = in.getCovers();
      covers_question q{
          .shape = storage::shape_id{covers.getShape()}, .sees = {}, .upto = covers.getUpto()};
      q.sees.xmin = covers.getXmin();
      q.sees.xmax = covers.getXmax();
      for (const auto xid : covers.getXip())
        q.sees.xip.push_back(xid);
      return question{std::move(q)};
    }
    case schema::Question::BARRIER:
      return question{barrier_question{}};
    case schema::Question::READS: {
      reads_question q;
      for (const auto shape : in.getReads())
        q.shapes.push_back(storage::shape_id{shape});
      return question{std::move(q)};
    }
    }
    return unknown_kind<question>();
  });
}

result<answer> read_answer(std::string_view bytes) {
  return read_message<schema::Answer, answer>(bytes, [](const auto& in) -> result<answer> {
    answer message{.sequence = in.getSequence(), .yes = in.getYes(), .why = {}};
    if (in.getFailed()) {
      const auto code = static_cast<errc>(in.getCode());
      message.why = {code > errc::ok && code <= errc::corrupt ? code : errc::unavailable,
                     to_text(in.getMessage()), to_text(in.getField()), in.getKnown()};
    }
    return message;
  });
}

result<std::vector<replicated_head>> read_heads(std::string_view bytes) {
  return read_message<schema::Heads, std::vector<replicated_head>>(
      bytes, [](const auto& in) -> result<std::vector<replicated_head>> {
        std::vector<replicated_head> heads;
        heads.reserve(in.getMoves().size());
        for (const auto move : in.getMoves())
          heads.push_back({.shape = storage::shape_id{move.getShape()},
                           .head = {move.getTx(), move.getOp()},
                           .has_boundaries = move.getHasBoundaries(),
                           .behind = move.getBehind()});
        return heads;
      });
}

} // namespace busbar::cluster
