#include "gate/watched_file.hpp"

#include <sys/stat.h>

#include <fstream>
#include <sstream>

namespace busbar::gate {

result<std::optional<std::string>> watched_file::read_if_changed() {
  struct stat now {};
  if (::stat(path_.c_str(), &now) != 0)
    return fail(errc::misconfigured, "cannot be read");
  std::ostringstream state; // a rename in its place, as orchestrators do it, shows in the inode
  state << now.st_dev << ' ' << now.st_ino << ' ' << now.st_size << ' ' << now.st_mtim.tv_sec << ' '
        << now.st_mtim.tv_nsec;
  if (state.str() == seen_)
    return std::optional<std::string>{};
  std::ifstream file{path_, std::ios::binary};
  std::string bytes;
  bytes.resize(bytes_max_ + 1);
  file.read(bytes.data(), static_cast<std::streamsize>(bytes.size()));
  if (file.bad() || !file.is_open())
    return fail(errc::misconfigured, "cannot be read");
  bytes.resize(static_cast<std::size_t>(file.gcount()));
  if (bytes.size() > bytes_max_)
    return fail(errc::misconfigured, "is larger than " + std::to_string(bytes_max_) + " bytes");
  seen_ = state.str();
  return std::optional{std::move(bytes)};
}

} // namespace busbar::gate
