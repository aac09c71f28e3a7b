#include "actors/frame_spool.hpp"

#include <fcntl.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <utility>

namespace busbar {

namespace {
constexpr std::size_t file_bytes = 64u << 20;
} // namespace

/// A nameless file of fixed size, mapped as a whole for reading.
class frame_spool::file {
public:
  static std::shared_ptr<file> make(const std::string& directory, std::size_t bytes) {
    auto made = std::make_shared<file>();
    made->descriptor_ = ::open(directory.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    if (made->descriptor_ < 0) { // some file systems know no files without a name
      auto name = directory + "/spool.XXXXXX";
      made->descriptor_ = ::mkostemp(name.data(), O_CLOEXEC);
      if (made->descriptor_ >= 0)
        ::unlink(name.c_str());
    }
    // All of it is reserved now: a page that the disk has no room for could not be written later.
    if (made->descriptor_ < 0 ||
        ::posix_fallocate(made->descriptor_, 0, static_cast<off_t>(bytes)) != 0)
      return nullptr;
    void* const place = ::mmap(nullptr, bytes, PROT_READ, MAP_SHARED, made->descriptor_, 0);
    if (place == MAP_FAILED)
      return nullptr;
    made->begin_ = static_cast<const char*>(place);
    made->bytes_ = bytes;
    return made;
  }
  file() = default;
  file(const file&) = delete;
  file& operator=(const file&) = delete;
  ~file() {
    if (begin_)
      ::munmap(const_cast<char*>(begin_), bytes_);
    if (descriptor_ >= 0)
      ::close(descriptor_);
  }

  std::size_t bytes() const noexcept { return bytes_; }
  std::size_t left() const noexcept { return bytes_ - used_; }
  /// Where it stands from now on; null if the disk refuses it.
  const char* append(std::string_view text) {
    std::size_t done = 0;
    while (done < text.size()) {
      const auto n = ::pwrite(descriptor_, text.data() + done, text.size() - done,
                              static_cast<off_t>(used_ + done));
      if (n < 0 && errno == EINTR)
        continue;
      if (n <= 0)
        return nullptr;
      done += static_cast<std::size_t>(n);
    }
    return begin_ + std::exchange(used_, used_ + text.size());
  }

private:
  int descriptor_ = -1;
  const char* begin_ = nullptr;
  std::size_t bytes_ = 0;
  std::size_t used_ = 0;
};

std::size_t frame_spool::held_bytes() {
  std::size_t sum = 0;
  std::erase_if(files_, [&](const auto& one) {
    const auto held = one.lock();
    sum += held ? held->bytes() : 0;
    return !held;
  });
  return sum;
}

frame frame_spool::put(const frame& whole) {
  const auto bytes = whole.bytes(); // whole words, so each begins where a word may
  if (!open_ || open_->left() < bytes.size()) {
    open_.reset();
    const auto wanted = std::max(file_bytes, bytes.size());
    if (held_bytes() + wanted > how_.bytes_max || !how_.has_room(wanted))
      return {};
    open_ = file::make(how_.directory, wanted);
    if (!open_)
      return {};
    files_.push_back(open_);
  }
  const auto* const place = open_->append(bytes);
  if (!place)
    return {};
  return frame::borrow({place, bytes.size()}, open_);
}

void frame_spool::cool(const frame& spooled) noexcept {
  static const auto page = static_cast<std::uintptr_t>(::sysconf(_SC_PAGESIZE));
  const auto bytes = spooled.bytes();
  const auto begin = reinterpret_cast<std::uintptr_t>(bytes.data()) / page * page;
  const auto end = reinterpret_cast<std::uintptr_t>(bytes.data()) + bytes.size();
  // Of a shared file that only gives the pages back: their contents come again from the file.
  ::madvise(reinterpret_cast<void*>(begin), end - begin, MADV_DONTNEED);
}

} // namespace busbar
