// tests/unit/storage/temp_directory.hpp: a directory that goes with its test.
#pragma once

#include <cstdlib>
#include <filesystem>
#include <string>

namespace busbar::testing {

class temp_directory {
public:
  temp_directory() {
    std::string pattern = (std::filesystem::temp_directory_path() / "busbar-test-XXXXXX").string();
    if (const char* made = ::mkdtemp(pattern.data()))
      path_ = made;
  }
  ~temp_directory() {
    std::error_code ignored;
    if (!path_.empty())
      std::filesystem::remove_all(path_, ignored);
  }
  temp_directory(const temp_directory&) = delete;
  temp_directory& operator=(const temp_directory&) = delete;

  const std::string& path() const noexcept { return path_; }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

private:
  std::string path_;
};

} // namespace busbar::testing
