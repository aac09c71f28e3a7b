#include "app/embedded_file.hpp"
#include "app/node_view.hpp"

namespace busbar::app {

namespace {

std::string_view type_of(std::string_view name) {
  if (name.ends_with(".html"))
    return "text/html; charset=utf-8";
  if (name.ends_with(".css"))
    return "text/css; charset=utf-8";
  if (name.ends_with(".js"))
    return "text/javascript; charset=utf-8";
  return "image/svg+xml";
}

} // namespace

std::vector<monitoring::page> node_pages(const node_view& view, monitoring::scraper& series) {
  std::vector<monitoring::page> pages{{.path = "/metrics",
                                       .type = "text/plain; version=0.0.4; charset=utf-8",
                                       .body = [&series] { return series.text(); }}};
  if (!view.config.status_page)
    return pages;
  pages.push_back({.path = "/status.json",
                   .type = "application/json; charset=utf-8",
                   .body = [&view, &series] { return status_json(view, series); }});
  for (const auto& file : status_files()) {
    const std::string path =
        file.name == "index.html" ? std::string{"/"} : "/" + std::string{file.name};
    pages.push_back({.path = path,
                     .type = std::string{type_of(file.name)},
                     .body = [body = file.body] { return std::string{body}; }});
  }
  return pages;
}

} // namespace busbar::app
