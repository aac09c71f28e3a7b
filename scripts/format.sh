#!/usr/bin/env bash
# Formats the C++ sources with clang-format.
#   scripts/format.sh            rewrites what is not formatted
#   scripts/format.sh --check    changes nothing, exits 1 and says where
#   scripts/format.sh --tidy     runs clang-tidy, on the compile commands of build/release
. "$(dirname "${BASH_SOURCE[0]}")/packages.sh"
cd "$top"

mapfile -t sources < <(find . \( -name build -o -name node_modules -o -name '.?*' \) -prune -o \
  \( -name '*.cpp' -o -name '*.hpp' \) -print | sort)
case ${1:-} in
  '')
    install_packages format
    clang-format -i "${sources[@]}"
    ;;
  --check)
    install_packages format
    printf '%s\0' "${sources[@]}" | xargs -0 -P "$(nproc)" -n 1 sh -c \
      'clang-format --dry-run -Werror "$1" >/dev/null 2>&1 || { echo "not formatted: $1"; exit 1; }' sh || exit 1
    ;;
  --tidy)
    install_packages build lint
    [[ -e build/release/compile_commands.json ]] || build_release
    printf '%s\n' "${sources[@]}" | grep '\.cpp$' |
      xargs -P "$(nproc)" -n 4 clang-tidy --quiet -p build/release
    ;;
  *) die "usage: scripts/format.sh [--check | --tidy]" ;;
esac
