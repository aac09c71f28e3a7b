// tests/unit/base/touched_memory.hpp: how much memory has something looked at? A measure of work
// that does not depend on how busy the machine is.
#pragma once

#include <algorithm>
#include <cstddef>
#include <fstream>
#include <optional>
#include <string>

namespace busbar::testing {

/// Kilobytes in whole pages that this process reads or writes in `work`, those of the measuring
/// itself included; nullopt where the kernel does not tell. It may mark pages for reasons of its
/// own, too, so `work` is done some times over and the least of them counts.
template <class Work>
std::optional<std::size_t> touched_kilobytes(const Work& work) {
  std::optional<std::size_t> least;
  for (int time = 0; time < 12; ++time) {
    std::ofstream forget{"/proc/self/clear_refs"};
    forget << "1" << std::flush;
    if (!forget)
      return std::nullopt;
    work();
    std::ifstream report{"/proc/self/smaps_rollup"};
    std::string word;
    while (report >> word && word != "Referenced:") {
    }
    std::size_t kilobytes = 0;
    if (!(report >> kilobytes))
      return std::nullopt;
    least = std::min(least.value_or(kilobytes), kilobytes);
  }
  return least;
}

} // namespace busbar::testing
