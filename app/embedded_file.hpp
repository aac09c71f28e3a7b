// app/embedded_file.hpp: files that are part of the program (cmake/EmbedFiles.cmake).
#pragma once

#include <span>
#include <string_view>

namespace busbar {

struct embedded_file {
  std::string_view name;
  std::string_view body;
};

/// Of app/status: what a browser needs to show the status page.
std::span<const embedded_file> status_files();

} // namespace busbar
