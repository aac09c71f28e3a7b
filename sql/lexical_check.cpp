#include "sql/lexical_check.hpp"

#include "sql/expression.hpp"
#include "sql/parse.hpp"
#include "sql/wire_reader.hpp"

#include <pg_query.h>

#include <algorithm>
#include <cctype>
#include <vector>

namespace busbar::sql {
namespace {

/// Frees what pg_query_scan() returned.
struct scan_guard {
  PgQueryScanResult result;
  explicit scan_guard(const char* statement) : result{pg_query_scan(statement)} {}
  ~scan_guard() { pg_query_free_scan_result(result); }
  scan_guard(const scan_guard&) = delete;
  scan_guard& operator=(const scan_guard&) = delete;
};

/// An upper bound of how deep the tree of the tokens seen so far can be.
///
/// Every level of a tree needs a token of its own. AND, OR and commas separate siblings, so behind
/// one of them the count of its bracket starts again; CASE … END counts as a bracket. The AND of
/// BETWEEN separates nothing. Statement keywords can nest without brackets and are rare: they are
/// simply counted.
class depth_bound {
public:
  void see(std::string_view token, bool keyword) {
    if (token == "(" || token == "[" || (keyword && same(token, "case"))) {
      see_plain();
      open_.push_back({});
    } else if (token == ")" || token == "]" || (keyword && same(token, "end"))) {
      if (open_.size() > 1) {
        total_ -= open_.back().run;
        open_.pop_back();
      }
    } else if (token == "," || (keyword && same(token, "or"))) {
      restart();
    } else if (keyword && same(token, "and")) {
      if (open_.back().between) {
        open_.back().between = false;
        see_plain();
      } else {
        restart();
      }
    } else {
      if (keyword && same(token, "between"))
        open_.back().between = true;
      if (keyword && is_statement_word(token))
        ++statement_words_;
      see_plain();
    }
  }

  bool is_too_deep() const { return total_ > nesting_max || statement_words_ > 64; }

private:
  struct bracket {
    std::size_t run = 0;
    bool between = false;
  };

  static bool same(std::string_view token, std::string_view lower) {
    return std::equal(token.begin(), token.end(), lower.begin(), lower.end(), [](char a, char b) {
      return std::tolower(static_cast<unsigned char>(a)) == b;
    });
  }
  static bool is_statement_word(std::string_view token) {
    for (const auto* word : {"select", "union", "intersect", "except", "join", "values", "table"})
      if (same(token, word))
        return true;
    return false;
  }
  void see_plain() {
    ++open_.back().run;
    ++total_;
  }
  void restart() {
    total_ -= open_.back().run;
    open_.back() = {};
  }

  std::vector<bracket> open_{1};
  std::size_t total_ = 0;
  std::size_t statement_words_ = 0;
};

} // namespace

error syntax_error(std::string_view statement, int cursor, std::string_view message) {
  std::size_t byte = 0;
  for (int character = 1; character < cursor && byte < statement.size(); ++character) {
    ++byte;
    while (byte < statement.size() && (static_cast<unsigned char>(statement[byte]) & 0xc0) == 0x80)
      ++byte;
  }
  return {errc::invalid_argument,
          "At location " + std::to_string(byte) + ": " + std::string{message}, "where"};
}

result<void> check_tokens(const std::string& statement) {
  const scan_guard scan{statement.c_str()};
  if (scan.result.error != nullptr)
    return fail(syntax_error(statement, scan.result.error->cursorpos, scan.result.error->message));

  depth_bound depth;
  wire_reader tokens{{scan.result.pbuf.data, scan.result.pbuf.len}};
  while (tokens.next()) {
    if (tokens.field() != 2)
      continue;
    std::size_t start = 0;
    std::size_t end = 0;
    bool keyword = false;
    for (wire_reader token{tokens.bytes()}; token.next();) {
      if (token.field() == 1)
        start = static_cast<std::size_t>(token.integer());
      else if (token.field() == 2)
        end = static_cast<std::size_t>(token.integer());
      else if (token.field() == 5)
        keyword = token.integer() != 0;
    }
    if (start > end || end > statement.size())
      return fail(refusal(0, "the clause could not be read"));
    const auto text = std::string_view{statement}.substr(start, end - start);
    if (text == ";")
      return fail(errc::invalid_argument,
                  "At location " + std::to_string(start) + ": syntax error at or near \";\"",
                  "where");
    if (text.starts_with("--") || text.starts_with("/*"))
      continue;
    depth.see(text, keyword);
    if (depth.is_too_deep())
      return fail(refusal(static_cast<std::int32_t>(start), "the clause is nested too deeply"));
  }
  return {};
}

bool is_storable_text(std::string_view text) noexcept {
  const auto* p = reinterpret_cast<const unsigned char*>(text.data());
  const auto* end = p + text.size();
  while (p != end) {
    if (*p == 0)
      return false;
    if (*p < 0x80) {
      ++p;
      continue;
    }
    const int size = *p >= 0xc2 && *p <= 0xdf   ? 2
                     : (*p & 0xf0) == 0xe0      ? 3
                     : *p >= 0xf0 && *p <= 0xf4 ? 4
                                                : 0;
    if (size == 0 || end - p < size)
      return false;
    for (int i = 1; i < size; ++i)
      if ((p[i] & 0xc0) != 0x80)
        return false;
    const bool overlong = (*p == 0xe0 && p[1] < 0xa0) || (*p == 0xf0 && p[1] < 0x90);
    const bool surrogate = *p == 0xed && p[1] > 0x9f;
    const bool too_large = *p == 0xf4 && p[1] > 0x8f;
    if (overlong || surrogate || too_large)
      return false;
    p += size;
  }
  return true;
}

} // namespace busbar::sql
