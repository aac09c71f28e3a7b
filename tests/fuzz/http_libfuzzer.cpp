// The same checks for libFuzzer (clang): cmake -DBUSBAR_LIBFUZZER=ON with clang++ as the compiler.
#include "tests/fuzz/http_input.hpp"

#include <cstdint>
#include <cstdio>
#include <cstdlib>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size) {
  const std::string_view bytes{reinterpret_cast<const char*>(data), size};
  if (const auto fault = busbar::fuzz::fault_shown_by(bytes, size < 256); !fault.empty()) {
    std::fprintf(stderr, "%s\n", fault.c_str());
    std::abort();
  }
  return 0;
}
