# scripts/machine.sh: minimal Debian 12s in temporary chroots, for scripts that need a machine with nothing on
# it. How this machine reaches its package mirror and npm (proxy, certificates, registry) is taken over. Needs root.
# Source it from bash, after packages.sh.
# shellcheck shell=bash

# enter_namespaces FOLDER SCRIPT ARGUMENT…: runs SCRIPT in namespaces of its own, so that when it ends all its
# mounts and processes are gone. Then FOLDER is removed.
enter_namespaces() {
  local status=0
  scratch_folder=$1
  shift
  unshare --mount --pid --fork --kill-child --mount-proc "$@" </dev/null &
  child=$!
  # Its first process takes no polite signal; killing it ends all that runs there.
  trap 'kill -KILL "$child" 2>/dev/null || true; wait "$child" 2>/dev/null || true
    rm -rf --one-file-system "$scratch_folder"' EXIT
  trap 'exit 130' INT
  trap 'exit 143' TERM HUP
  wait "$child" || status=$?
  return "$status"
}

# The lines of sources.list for what this machine takes from Debian 12.
debian_sources() {
  apt-get indextargets --format 'deb $(REPO_URI) $(RELEASE) main' \
    'Identifier: Packages' 'Origin: Debian' 'Component: main' | grep -E ' bookworm(-updates|-security)? ' |
    sort -u
}

# make_machine FOLDER LOG: installs it, ready to fetch packages.
make_machine() {
  local machine=$1 log=$2 mirror proxy='' file
  mirror=$(debian_sources | awk '$3 == "bookworm" {print $2; exit}')
  [[ -n $mirror ]] || die "this machine's apt knows no mirror of Debian 12"
  eval "$(apt-config shell proxy Acquire::http::Proxy)"
  [[ -z $proxy ]] || export http_proxy=$proxy
  run_shown "Making a minimal Debian 12" 1800 "$log" \
    debootstrap --variant=minbase bookworm "$machine" "$mirror"
  debian_sources >"$machine/etc/apt/sources.list"
  apt-config dump | grep -E '^Acquire::(http|https|ftp|Check|Retries)' \
    >"$machine/etc/apt/apt.conf.d/90machine" || true
  cp -L /etc/resolv.conf /etc/hosts "$machine/etc/"
  mkdir -p "$machine/etc/ssl/certs" "$machine/usr/local/share"
  [[ ! -e /etc/ssl/certs/ca-certificates.crt ]] ||
    cp -L /etc/ssl/certs/ca-certificates.crt "$machine/etc/ssl/certs/"
  [[ ! -d /usr/local/share/ca-certificates ]] ||
    cp -rL /usr/local/share/ca-certificates "$machine/usr/local/share/"
  for file in "$(npm config get globalconfig 2>/dev/null || true)" ~/.npmrc; do
    [[ ! -f $file ]] || cat "$file" >>"$machine/root/.npmrc"
  done
}

# mount_kernel FOLDER: what programs there expect of a kernel.
mount_kernel() {
  mount -t proc proc "$1/proc"
  mount --rbind /sys "$1/sys"
  mount --rbind /dev "$1/dev"
}

# set_network_environment: sets network_environment, NAME=value of what says how the network is reached.
network_environment=()
set_network_environment() {
  local name
  network_environment=()
  while read -r name; do
    network_environment+=("$name=${!name}")
  done < <(compgen -e | grep -iE '_proxy$|^npm_config_|^NODE_EXTRA_CA_CERTS$|_CERT_FILE$|_CA_?(BUNDLE|INFO)$')
}
