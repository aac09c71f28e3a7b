#!/usr/bin/env bash
# Makes the Debian package of the release build, build/release/busbar_<version>_<architecture>.deb.
#   scripts/package.sh            makes it
#   scripts/package.sh --check    makes it and looks at it: contents, dependencies, scripts, unit, binary
. "$(dirname "${BASH_SOURCE[0]}")/packages.sh"

check=false
case ${1:-} in
  '') ;;
  --check) check=true ;;
  *) die "usage: scripts/package.sh [--check]" ;;
esac

wrong=0
expect() { # WHAT COMMAND…
  local what=$1
  shift
  if "$@" >"$work/said" 2>&1; then
    say "as it should be: $what"
  else
    say "WRONG: $what"
    cat "$work/said"
    wrong=1
  fi
}

# Each library that the binary loads is in a package that it depends on, by its name or by what it provides.
libraries_are_dependencies() {
  local name path package provided found names
  names=$(tr ',' '\n' <<<"$depends" | awk '{print $1}')
  for name in $(objdump -p "$work/root/usr/bin/busbar" | awk '$1 == "NEEDED" {print $2}'); do
    path=$(ldd "$work/root/usr/bin/busbar" | awk -v name="$name" '$1 == name {print $3}')
    # Where /lib is a link to /usr/lib, the list of files may have either.
    package=$(dpkg-query -S "$path" "/usr$path" 2>/dev/null | head -n 1 | sed 's/:.*//')
    found=false
    for provided in "$package" $(dpkg-query -W -f '${Provides}' "$package" | sed 's/([^)]*)//g; s/,/ /g'); do
      ! grep -qxF "$provided" <<<"$names" || found=true
    done
    $found || { echo "$name is in $package" && return 1; }
  done
}

# A script of the package runs with what every Debian has.
scripts_are_sound() {
  local script
  for script in postinst prerm postrm; do
    [[ -x $work/control/$script ]] && sh -n "$work/control/$script" || return 1
  done
}

# systemd reads the unit with nothing to complain of, and finds it well locked in. The unit's binary
# is looked for in this machine's /usr/bin, so the copy names the one of the package.
unit_is_sound() {
  sed "s|/usr/bin/busbar|$work/root/usr/bin/busbar|" "$work/root/lib/systemd/system/busbar.service" \
    >"$work/busbar.service"
  systemd-analyze verify --man=no "$work/busbar.service" 2>&1 | grep -F busbar.service && return 1
  systemd-analyze security --offline=true --threshold=20 --no-pager "$work/busbar.service"
}

install_packages build package
build_release busbar
rm -f "$top"/build/release/busbar_*.deb
# cpack itself, not the target `package`: that would also build the tests.
run_shown "Making the package" 300 "$top/build/package.log" \
  sh -c 'cd "$1" && exec cpack' sh "$top/build/release"
package=$(echo "$top"/build/release/busbar_*.deb)
[[ -f $package ]] || die "there is no package"
say "$package"
$check || exit 0

install_packages test
work=$(mktemp -d /tmp/busbar-package.XXXXXX)
trap 'rm -rf "$work"' EXIT
dpkg-deb --raw-extract "$package" "$work/root"
mv "$work/root/DEBIAN" "$work/control"
depends=$(dpkg-deb --field "$package" Depends)
version=$(sed -n 's/^project(busbar VERSION \([0-9.]*\).*/\1/p' "$top/CMakeLists.txt")
listing=$(dpkg-deb --contents "$package")

expect "its version is $version" test "$(dpkg-deb --field "$package" Version)" = "$version"
expect "it contains what it should, and no more" diff -u - <(cd "$work/root" && find . -type f | sort) <<'EOT'
./etc/busbar/busbar.env
./lib/systemd/system/busbar.service
./usr/bin/busbar
./usr/share/doc/busbar/README.md
./usr/share/doc/busbar/copyright
EOT
expect "all of it is root's, and only root reads the settings" \
  awk '$2 != "root/root" || (/busbar\.env/ && $1 != "-rw-------") {print; bad = 1} END {exit bad}' <<<"$listing"
expect "the settings survive an upgrade" grep -qx /etc/busbar/busbar.env "$work/control/conffiles"
expect "it depends on every library that it loads" libraries_are_dependencies
expect "it depends on time zones, and on no package for development" \
  sh -c 'case $1 in *-dev*) exit 1 ;; *tzdata*) ;; *) exit 1 ;; esac' sh "$depends"
expect "its scripts are sound" scripts_are_sound
expect "its unit is sound" unit_is_sound
expect "its binary runs" test "$("$work/root/usr/bin/busbar" --version)" = "busbar $version"
expect "its binary is stripped" sh -c '! objdump -t "$1" | grep -q main' sh "$work/root/usr/bin/busbar"
exit "$wrong"
