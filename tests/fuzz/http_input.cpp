#include "tests/fuzz/http_input.hpp"

#include "http/body_decoder.hpp"
#include "http/json_body.hpp"
#include "http/query.hpp"
#include "http/request_head.hpp"
#include "http/route.hpp"
#include "http/shape_params.hpp"
#include "http/utf8.hpp"

#include <algorithm>
#include <array>
#include <memory>
#include <optional>

namespace busbar::fuzz {

namespace {

using namespace http;

/// Small, so that mutated inputs reach them.
constexpr head_limits limits{
    .request_line_bytes_max = 200, .header_bytes_max = 60, .headers_max = 6};
constexpr std::size_t body_bytes_max = 80;

std::string encoded(std::string_view text) {
  constexpr std::string_view digits = "0123456789abcdef";
  std::string out;
  for (const char c : text) {
    const auto byte = static_cast<unsigned char>(c);
    out += '%';
    out += digits[byte >> 4];
    out += digits[byte & 15];
  }
  return out;
}

/// A head that says what this one says, in other words.
std::string rewritten(const request_head& head, std::string_view verb) {
  std::string out{verb};
  out += ' ';
  out.append(head.target).append(head.http_1_1 ? " HTTP/1.1\r\n" : " HTTP/1.0\r\n");
  const auto add = [&](std::string_view name, std::string_view value) {
    if (!value.empty())
      out.append(name).append(":\t").append(value).append(" \r\n");
  };
  out.append("HOST: ").append(head.host).append("\r\n");
  add("CONNECTION", head.keep_alive ? "x, Keep-Alive" : "Close");
  if (head.content_length > 0)
    add("CONTENT-LENGTH", std::to_string(head.content_length));
  add("TRANSFER-ENCODING", head.chunked ? "Chunked" : "");
  add("EXPECT", head.expects_continue ? "100-Continue" : "");
  add("ORIGIN", head.origin);
  add("IF-NONE-MATCH", head.if_none_match.text());
  add("X-REQUEST-ID", head.request_id);
  add("ACCESS-CONTROL-REQUEST-HEADERS", head.preflight_headers);
  return out + "\r\n";
}

class reader {
public:
  std::string transcript;

  /// False if the connection ends here.
  bool read(std::string_view piece) {
    pending_.append(piece);
    while (!pending_.empty()) {
      // Each step sees a buffer of exactly its size, so that sanitizers notice a step too far.
      const auto copy = std::make_unique<char[]>(pending_.size());
      std::copy(pending_.begin(), pending_.end(), copy.get());
      const std::string_view input{copy.get(), pending_.size()};
      const auto used = decoder_ ? read_body(input) : read_head(input);
      if (!used)
        return false;
      if (*used == 0)
        return true;
      pending_.erase(0, *used);
    }
    return true;
  }

  void end() { say("left: " + std::to_string(pending_.size())); }

private:
  void say(const std::string& line) { transcript += line + '\n'; }
  void expect(bool holds, std::string_view what) {
    if (!holds)
      say("BROKEN: " + std::string{what});
  }

  std::optional<std::size_t> refuse(const char* what, int status) {
    say(std::string{what} + ' ' + std::to_string(status));
    return std::nullopt;
  }

  std::optional<std::size_t> read_head(std::string_view input) {
    if (input.starts_with("\r\n")) {
      scanner_.reset();
      return 2;
    }
    const auto length = scanner_.scan(input, limits);
    if (!length)
      return refuse("scan", length.error());
    if (*length == 0)
      return 0;
    expect(*length <= input.size() && input.substr(0, *length).ends_with("\r\n\r\n"),
           "a head ends with an empty line");
    scanner_.reset();
    const auto bytes = input.substr(0, *length);
    const auto head = parse_request_head(bytes);
    if (!head)
      return refuse("head", head.error());
    take(*head, bytes);
    return *length;
  }

  void take(const request_head& head, std::string_view bytes) {
    for (const auto part :
         {head.target, head.host, head.origin, head.request_id, head.preflight_headers}) {
      expect(part.empty() || (part.data() >= bytes.data() &&
                              part.data() + part.size() <= bytes.data() + bytes.size()),
             "a part of a head lies within it");
      expect(part.find_first_of(std::string_view{"\r\n\0", 3}) == std::string_view::npos,
             "no part of a head spans lines");
    }
    for (const auto& list : {head.if_none_match.text(), head.accept_encoding.text()})
      expect(list.find_first_of(std::string_view{"\r\n\0", 3}) == std::string::npos,
             "a list has no line ends");
    expect(!head.target.empty() && head.target.find_first_of(" \t") == std::string_view::npos,
           "a target is one word");
    expect(!(head.chunked && head.content_length > 0), "a body has one measure");
    expect(head.http_1_1 || !head.chunked, "HTTP/1.0 knows no chunks");
    const auto verb = bytes.substr(0, bytes.find(' '));
    say("head: " + rewritten(head, verb));
    const auto again_bytes = rewritten(head, verb);
    const auto again = parse_request_head(again_bytes);
    expect(again && rewritten(*again, verb) == again_bytes, "a head says the same in other words");

    const auto target = resolve(head.target);
    say("route: " + std::string{name_of(target.where)});
    posted_ = head.verb == method::post;
    parameters_ = query::parse(target.query);
    if (parameters_)
      describe(*parameters_, target.query);
    else
      say("not UTF-8");
    if (head.chunked)
      decoder_ = body_decoder::chunked(body_bytes_max);
    else if (head.content_length > 0)
      decoder_ = body_decoder::of_length(head.content_length, body_bytes_max);
    body_.clear();
  }

  std::optional<std::size_t> read_body(std::string_view input) {
    const auto used = decoder_->decode(input, body_);
    expect(body_.size() <= body_bytes_max, "a body is not larger than allowed");
    if (!used)
      return refuse("body", used.error());
    expect(*used == input.size() || decoder_->done(), "a body takes what there is");
    if (!decoder_->done())
      return *used;
    decoder_.reset();
    say("body: " + body_);
    if (posted_ && parameters_) {
      const auto merged = merge_json_body(body_, *parameters_);
      if (merged)
        describe_request(*parameters_);
      else
        expect(is_utf8(merged.error()), "a complaint is UTF-8");
    }
    return *used;
  }

  void describe(const query& parameters, std::string_view raw) {
    // The same query with every byte of every name and value encoded means the same.
    std::string spelt_out;
    for (auto rest = raw; !rest.empty();) {
      const auto end = std::min(rest.find('&'), rest.size());
      const auto pair = rest.substr(0, end);
      rest.remove_prefix(std::min(end + 1, rest.size()));
      const auto equals = std::min(pair.find('='), pair.size());
      spelt_out += encoded(percent_decode(pair.substr(0, equals), true));
      spelt_out += '=';
      spelt_out += encoded(percent_decode(pair.substr(std::min(equals + 1, pair.size())), true));
      spelt_out += '&';
    }
    const auto same = query::parse(spelt_out);
    expect(same.has_value(), "an encoded query is still UTF-8");
    const auto said = what_is_asked(parameters);
    if (same)
      expect(what_is_asked(*same) == said, "an encoded query says the same");
    say(said);
  }
  void describe_request(const query& parameters) { say(what_is_asked(parameters)); }

  std::string what_is_asked(const query& parameters) {
    std::string out;
    const auto complain = [&](const field_errors& errors) {
      for (const auto& error : errors) {
        expect(is_utf8(error.message) && !error.message.empty(), "a complaint is UTF-8");
        out += " wrong:" + error.field;
      }
    };
    const auto deletion = parse_shape_deletion(parameters);
    out += deletion ? "deletes:" + deletion->handle : std::string{};
    const auto read = parse_shape_read(parameters);
    if (!read) {
      expect(!read.error().empty(), "who is refused is told why");
      complain(read.error());
      return out;
    }
    const auto& query = read->query;
    const bool anchored = query.now || query.offset == log_offset::start();
    expect(anchored || !query.handle.empty(), "a position needs a handle");
    expect(!(anchored && query.live), "nobody waits at an anchor");
    expect(!query.sse || query.live, "a stream is live");
    expect(!query.shape.table.empty(), "a shape has a table");
    expect(query.shape.flaw.has_value() == !read->later.empty(), "the session is told of a flaw");
    out += "asks:" + query.shape.cache_key() + (query.now ? "now" : to_string(query.offset)) + ' ' +
           query.handle + (query.live ? " live" : "") + (query.sse ? " sse" : "") + ' ' +
           read->cursor;
    if (query.subset)
      out += " subset:" + query.subset->where + '/' + query.subset->order_by + '/' +
             std::to_string(query.subset->limit.value_or(0)) + '/' +
             std::to_string(query.subset->offset.value_or(0)) + '/' +
             std::to_string(query.subset->parameters.size());
    complain(read->later);
    return out;
  }

  std::string pending_;
  head_scanner scanner_;
  std::optional<body_decoder> decoder_;
  std::string body_;
  std::optional<query> parameters_;
  bool posted_ = false;
};

} // namespace

std::string transcript_of(std::string_view bytes, const next_cut& cut) {
  reader connection;
  for (std::size_t from = 0; from < bytes.size();) {
    const auto to = std::clamp(cut(from), from + 1, bytes.size());
    if (!connection.read(bytes.substr(from, to - from)))
      return connection.transcript;
    from = to;
  }
  connection.end();
  return connection.transcript;
}

std::string fault_shown_by(std::string_view bytes, bool thorough) {
  const auto whole = transcript_of(bytes, [&](std::size_t) { return bytes.size(); });
  if (const auto broken = whole.find("BROKEN"); broken != std::string::npos)
    return whole.substr(broken);
  if (const auto cut_up = transcript_of(bytes, [](std::size_t from) { return from + 1; });
      cut_up != whole)
    return "byte by byte it says\n" + cut_up + "instead of\n" + whole;
  for (std::size_t at = 1; thorough && at < bytes.size(); ++at)
    if (const auto in_two =
            transcript_of(bytes, [&](std::size_t from) { return from == 0 ? at : bytes.size(); });
        in_two != whole)
      return "cut at " + std::to_string(at) + " it says\n" + in_two + "instead of\n" + whole;
  return {};
}

} // namespace busbar::fuzz
