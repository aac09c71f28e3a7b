#!/usr/bin/env bash
# The one list of Debian packages, by what they are needed for.
#   scripts/packages.sh [build] [run] [test] [package] [bench] [format] [lint] [fresh]
#                                                       installs; default: the first five
# Sourced, it only defines install_packages. Installs only what is missing, without recommendations.
. "$(dirname "${BASH_SOURCE[0]}")/lib.sh"

packages_build=(
  g++ cmake ninja-build pkg-config ccache mold
  libcaf-dev          # actors
  libpq-dev           # PostgreSQL's protocol
  libpg-query-dev     # PostgreSQL's parser, for where clauses
  capnproto libcapnp-dev
  librocksdb-dev
  libboost1.81-dev    # intrusive lists of waiting readers
  prometheus-cpp-dev
  libexpected-dev     # result<>
  libspdlog-dev libcli11-dev nlohmann-json3-dev libssl-dev
  zlib1g-dev libzstd-dev # compressed bodies
  libyaml-cpp-dev     # the policy of the gate
  libcurl4-openssl-dev # keys of tokens, from a URL
  libgtest-dev libgmock-dev
)
packages_run=(
  postgresql-15       # quick start and tests run a private server
  curl python3-minimal python3
  tzdata              # time zones in where clauses
)
packages_test=(
  nodejs npm
  zstd                # reads what we compressed
  nginx-light         # the cache that hundreds of clients sit behind
  pgbouncer           # the pooler that snapshots pass
  iproute2            # networks that can be cut, in tests/cluster
  chromium            # tests/browser, examples/webkit
  golang-go golang-github-masterminds-sprig-dev golang-github-xeipuuv-gojsonschema-dev
  golang-k8s-sigs-yaml-dev # tests/chart renders as Helm does, with what Helm is made of;
                      # examples/webkit/admin-tail needs the compiler only
  prometheus          # promtool
  systemd             # systemd-analyze
)
packages_package=(dpkg-dev file) # CPack reads the dependencies off the binary
packages_format=(clang-format)
packages_bench=(nginx-light wrk openssl)
packages_lint=(clang-tidy)
packages_fresh=(debootstrap)

is_installed() {
  case $1 in
    # Other builds of Node bring npm along and exclude Debian's package of it.
    nodejs | npm) command -v "${1/nodejs/node}" >/dev/null ;;
    *) [[ $(dpkg-query -W -f '${db:Status-Status}' "$1" 2>/dev/null) == installed ]] ;;
  esac
}

# install_packages GROUP…
install_packages() {
  local group list package missing=() log=$top/build/packages.log root=() title
  for group in "$@"; do
    [[ -v packages_$group ]] || die "no package group '$group'"
    list="packages_${group}[@]"
    for package in "${!list}"; do
      is_installed "$package" || missing+=("$package")
    done
  done
  ((${#missing[@]})) || return 0
  command -v apt-get >/dev/null || die "please install: ${missing[*]}"
  if ((EUID != 0)); then
    as_root true # asks for the password, if one is needed, where it can be seen
    root=(sudo)
  fi
  run_shown "Reading the package lists" 600 "$log" "${root[@]}" apt-get -q update
  title="Installing ${#missing[@]} packages and what they need"
  if [[ " ${missing[*]} " == *' postgresql-15 '* ]]; then
    # Its installation would make and start a cluster of its own on port 5432, which nothing here
    # needs: until it is installed, a line in the configuration of postgresql-common forbids that.
    run_shown "Installing postgresql-common" 900 "$log" "${root[@]}" bash -c "$with_undo$without_services$apt_install" \
      apt_install postgresql-common
    with_undo+=$without_main_cluster
  fi
  run_shown "$title" 3600 "$log" "${root[@]}" bash -c "$with_undo$without_services$apt_install" \
    apt_install "${missing[@]}"
}
# Parts of a script that runs as root, with the packages as its arguments. What it changes for the time of an
# installation it changes back, however it ends.
with_undo='
  undo=()
  trap '"'"'for one in "${undo[@]}"; do eval "$one"; done'"'"' EXIT
  trap "exit 1" INT TERM
'
# Of nginx, PgBouncer and Prometheus tests need the programs: no service is started, neither now nor at the next boot.
without_services='
  policy=/usr/sbin/policy-rc.d
  if [[ ! -e $policy ]]; then
    undo+=("rm -f $policy")
    printf "#!/bin/sh\nexit 101\n" >"$policy"
    chmod 755 "$policy"
  fi
  for package; do
    case $package in
      nginx-light | pgbouncer | prometheus)
        undo+=("! command -v systemctl >/dev/null || systemctl --quiet disable ${package%-light}.service || true")
        ;;
    esac
  done
'
without_main_cluster='
  file=/etc/postgresql-common/createcluster.conf
  line="create_main_cluster = false # while packages of Busbar are installed"
  undo+=("sed -i \"/^$line\$/d\" $file")
  echo "$line" >>$file
'
apt_install='DEBIAN_FRONTEND=noninteractive apt-get -q -y -o DPkg::Lock::Timeout=300 \
  install --no-install-recommends "$@"'

if [[ ${BASH_SOURCE[0]} == "$0" ]]; then
  (($#)) || set -- build run test package bench
  install_packages "$@"
  say "All packages are installed."
fi
