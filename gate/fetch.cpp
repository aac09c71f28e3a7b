#include "gate/fetch.hpp"

#include <curl/curl.h>

#include <memory>

namespace busbar::gate {

namespace {

struct easy_cleanup {
  void operator()(CURL* handle) const noexcept { curl_easy_cleanup(handle); }
};

/// libcurl wants this once before it is used, on one thread.
bool prepare() {
  static const bool ready = curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK;
  return ready;
}

struct reception {
  std::string body;
  std::size_t bytes_max;
};

std::size_t take(char* data, std::size_t size, std::size_t count, void* into) {
  auto& out = *static_cast<reception*>(into);
  if (out.body.size() + size * count > out.bytes_max)
    return 0; // ends the transfer
  out.body.append(data, size * count);
  return size * count;
}

int look(void* stop, curl_off_t, curl_off_t, curl_off_t, curl_off_t) {
  return static_cast<const std::atomic<bool>*>(stop)->load() ? 1 : 0;
}

} // namespace

result<std::string> fetch(const std::string& url, const fetch_limits& limits,
                          const std::atomic<bool>& stop) {
  if (!prepare())
    return fail(errc::unavailable, "libcurl cannot be used");
  const std::unique_ptr<CURL, easy_cleanup> handle{curl_easy_init()};
  if (!handle)
    return fail(errc::unavailable, "libcurl cannot be used");
  reception got{{}, limits.bytes};
  auto* curl = handle.get();
  curl_easy_setopt(curl, CURLOPT_URL, url.c_str());
  curl_easy_setopt(curl, CURLOPT_PROTOCOLS_STR, "http,https");
  curl_easy_setopt(curl, CURLOPT_FOLLOWLOCATION, 0L);
  curl_easy_setopt(curl, CURLOPT_NOSIGNAL, 1L);
  curl_easy_setopt(curl, CURLOPT_TIMEOUT, static_cast<long>(limits.time.count()));
  curl_easy_setopt(curl, CURLOPT_MAXFILESIZE_LARGE, static_cast<curl_off_t>(limits.bytes));
  curl_easy_setopt(curl, CURLOPT_WRITEFUNCTION, take);
  curl_easy_setopt(curl, CURLOPT_WRITEDATA, &got);
  curl_easy_setopt(curl, CURLOPT_NOPROGRESS, 0L);
  curl_easy_setopt(curl, CURLOPT_XFERINFOFUNCTION, look);
  curl_easy_setopt(curl, CURLOPT_XFERINFODATA, const_cast<std::atomic<bool>*>(&stop));
  if (const auto outcome = curl_easy_perform(curl); outcome != CURLE_OK)
    return fail(errc::unavailable, curl_easy_strerror(outcome));
  long status = 0;
  curl_easy_getinfo(curl, CURLINFO_RESPONSE_CODE, &status);
  if (status != 200)
    return fail(errc::unavailable, "the answer has status " + std::to_string(status));
  return std::move(got.body);
}

} // namespace busbar::gate
