// sql/functions.hpp: PostgreSQL's operators and functions, as far as they are computed here: what
// pg_operator and pg_proc say of them, and how.
#pragma once

#include "sql/collation.hpp"
#include "sql/value.hpp"

#include <array>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

namespace busbar::sql {

class time_zone;

enum class comparison : std::uint8_t { equal, not_equal, less, less_equal, greater, greater_equal };

/// What a computation gets besides its operands.
struct call {
  std::span<const datum> args;
  type operand; ///< The type of the first one.
  type result;
  case_rule cases;
  workspace& space;
  const time_zone* zone = nullptr; ///< That args[0] names, for functions that take one.
};
using implementation = outcome (*)(const call& c, value& out) noexcept;

/// What the answer depends on besides the operands' bytes.
enum class letters : std::uint8_t {
  any,
  equal,
  cases
}; ///< equal: needs a deterministic collation.

/// One row of pg_operator (of a prefix operator, with one argument) or pg_proc.
struct function {
  std::string_view name;
  std::array<type, 3> args; ///< type::unknown behind the last.
  type result;
  implementation run = nullptr; ///< nullptr: a comparison.
  comparison test = comparison::equal;
  bool strict = true; ///< NULL if an operand is. Others see which are NULL.
  letters about = letters::any;

  std::size_t arity() const noexcept {
    std::size_t n = 0;
    while (n < args.size() && args[n] != type::unknown)
      ++n;
    return n;
  }
};

/// Of what PostgreSQL has and we compute not. It takes part in the choice, so that nothing else is
/// taken for it, and is refused when it is chosen.
outcome not_supported(const call& c, value& out) noexcept;

/// All of that name. Pointers stay good for ever.
std::vector<const function*> operators_named(std::string_view name, std::size_t arity);
std::vector<const function*> functions_named(std::string_view name, std::size_t arity);

/// The tables, by what they are about.
std::span<const function> comparison_operators() noexcept;
std::span<const function> number_operators() noexcept;
std::span<const function> number_functions() noexcept;
std::span<const function> text_operators() noexcept;
std::span<const function> text_functions() noexcept;
std::span<const function> time_operators() noexcept;
std::span<const function> time_functions() noexcept;
std::span<const function> array_operators() noexcept;
std::span<const function> array_functions() noexcept;
std::span<const function> json_operators() noexcept;

} // namespace busbar::sql
