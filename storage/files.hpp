// storage/files.hpp: the files of a store as such, for those who move whole stores about. Private
// to storage/.
#pragma once

#include "base/result.hpp"

#include <filesystem>
#include <string_view>
#include <system_error>
#include <vector>

namespace busbar::storage {

inline constexpr char current_name[] = "CURRENT"; ///< Without it there is no store.
inline constexpr char damage_mark_name[] = "DAMAGED";

/// The files that make a store, CURRENT first.
std::vector<std::filesystem::path> files_of(const std::filesystem::path& directory);
/// Removes the part of the write-ahead log that is only kept for followers.
void drop_log_archive(const std::filesystem::path& directory) noexcept;
void sync_directory(const std::filesystem::path& directory) noexcept;
/// In this order; durable at the end.
result<void> move_all(const std::vector<std::filesystem::path>& files,
                      const std::filesystem::path& into);
error failed(std::string_view doing, const std::filesystem::path& what, const std::error_code& why);

} // namespace busbar::storage
