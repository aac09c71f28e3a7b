#include "sql/packed_atoms.hpp"

#include <cstddef>
#include <cstdint>
#include <utility>

namespace busbar::sql {

namespace {

class writer {
public:
  /// Seven bits a byte, the lowest first; all but the last have the highest bit.
  void number(std::size_t x) {
    for (; x > 0x7f; x >>= 7)
      out.push_back(static_cast<char>((x & 0x7f) | 0x80));
    out.push_back(static_cast<char>(x));
  }
  void text(std::string_view bytes) {
    number(bytes.size());
    out += bytes;
  }
  void bound(const atom::bound& b) {
    number((b.exists ? 1u : 0u) | (b.inclusive ? 2u : 0u));
    text(b.key);
  }
  void one(const atom& a) {
    number(static_cast<std::size_t>(a.kind));
    number(a.form.column);
    number(static_cast<std::size_t>(a.form.from));
    number(static_cast<std::size_t>(a.form.as));
    number(a.form.elements ? 1 : 0);
    number(a.keys.size());
    for (const auto& key : a.keys)
      text(key);
    if (a.kind != atom::kind_type::range)
      return;
    bound(a.lower);
    bound(a.upper);
  }

  std::string out;
};

class reader {
public:
  explicit reader(std::string_view packed) : rest_{packed} {}

  std::size_t number() {
    std::size_t x = 0;
    for (unsigned shift = 0;; shift += 7) {
      const auto byte = static_cast<unsigned char>(rest_.front());
      rest_.remove_prefix(1);
      x |= static_cast<std::size_t>(byte & 0x7f) << shift;
      if (byte < 0x80)
        return x;
    }
  }
  std::string text() {
    const auto size = number();
    std::string bytes{rest_.substr(0, size)};
    rest_.remove_prefix(size);
    return bytes;
  }
  atom::bound bound() {
    const auto flags = number();
    return {(flags & 1) != 0, (flags & 2) != 0, text()};
  }
  atom one() {
    atom a{.kind = static_cast<atom::kind_type>(number())};
    a.form.column = static_cast<std::uint16_t>(number());
    a.form.from = static_cast<type>(number());
    a.form.as = static_cast<type>(number());
    a.form.elements = number() != 0;
    a.keys.resize(number());
    for (auto& key : a.keys)
      key = text();
    if (a.kind == atom::kind_type::range) {
      a.lower = bound();
      a.upper = bound();
    }
    return a;
  }

private:
  std::string_view rest_;
};

} // namespace

std::string pack(std::span<const conjunction> all) {
  writer to;
  to.number(all.size());
  for (const auto& alternative : all) {
    to.number(alternative.complete ? 1 : 0);
    to.number(alternative.atoms.size());
    for (const auto& a : alternative.atoms)
      to.one(a);
  }
  return std::move(to.out);
}

std::vector<conjunction> unpack(std::string_view packed) {
  reader from{packed};
  std::vector<conjunction> all(from.number());
  for (auto& alternative : all) {
    alternative.complete = from.number() != 0;
    alternative.atoms.resize(from.number());
    for (auto& a : alternative.atoms)
      a = from.one();
  }
  return all;
}

} // namespace busbar::sql
