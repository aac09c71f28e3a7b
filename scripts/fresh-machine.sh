#!/usr/bin/env bash
# Runs the two commands of the README on a machine that has nothing but git and the checkout: a
# minimal Debian 12 in a temporary chroot. Needs root. Reports how long each took.
#   scripts/fresh-machine.sh               with the last commit
#   scripts/fresh-machine.sh --worktree    with the files as they are now
# How this machine reaches its package mirror and npm (proxy, certificates, registry) is taken over.
# Everything runs in namespaces of its own: when the script ends, mounts and processes are gone.
. "$(dirname "${BASH_SOURCE[0]}")/packages.sh"

machine='' child='' inside=false worktree=false
while (($#)); do
  case $1 in
    --worktree) worktree=true ;;
    --inside) inside=true machine=$2 && shift ;; # by the script itself
    *) die "usage: scripts/fresh-machine.sh [--worktree]" ;;
  esac
  shift
done
((EUID == 0)) || die "chroot and debootstrap need root"

enter_namespaces() {
  local status=0 arguments=(--inside "$machine")
  ! $worktree || arguments+=(--worktree)
  unshare --mount --pid --fork --kill-child --mount-proc "$top/scripts/fresh-machine.sh" \
    "${arguments[@]}" </dev/null &
  child=$!
  # Its first process takes no polite signal; killing it ends all that runs there.
  trap 'kill -KILL "$child" 2>/dev/null || true; wait "$child" 2>/dev/null || true
    rm -rf --one-file-system "$machine"' EXIT
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

make_machine() {
  local mirror proxy=''
  mirror=$(debian_sources | awk '$3 == "bookworm" {print $2; exit}')
  [[ -n $mirror ]] || die "this machine's apt knows no mirror of Debian 12"
  eval "$(apt-config shell proxy Acquire::http::Proxy)"
  [[ -z $proxy ]] || export http_proxy=$proxy
  run_shown "Making a minimal Debian 12" 1800 "$log" \
    debootstrap --variant=minbase bookworm "$machine" "$mirror"
  mount -t proc proc "$machine/proc"
  mount --rbind /sys "$machine/sys"
  mount --rbind /dev "$machine/dev"

  debian_sources >"$machine/etc/apt/sources.list"
  apt-config dump | grep -E '^Acquire::(http|https|ftp|Check|Retries)' \
    >"$machine/etc/apt/apt.conf.d/90machine" || true
  cp -L /etc/resolv.conf /etc/hosts "$machine/etc/"
  mkdir -p "$machine/etc/ssl/certs" "$machine/usr/local/share"
  [[ ! -e /etc/ssl/certs/ca-certificates.crt ]] ||
    cp -L /etc/ssl/certs/ca-certificates.crt "$machine/etc/ssl/certs/"
  [[ ! -d /usr/local/share/ca-certificates ]] ||
    cp -rL /usr/local/share/ca-certificates "$machine/usr/local/share/"
  local file
  for file in "$(npm config get globalconfig 2>/dev/null || true)" ~/.npmrc; do
    [[ ! -f $file ]] || cat "$file" >>"$machine/root/.npmrc"
  done
  run_shown "Installing git" 600 "$log" "${on_machine[@]}" \
    'apt-get -q update && apt-get -q -y install --no-install-recommends git'
}

# Sets on_machine: what stands before a shell command that runs there, with a bare environment but
# for how the network is reached.
on_machine=()
set_on_machine() {
  local name
  on_machine=(chroot "$machine" /usr/bin/env -i)
  while read -r name; do
    on_machine+=("$name=${!name}")
  done < <(compgen -e | grep -iE '_proxy$|^npm_config_|^NODE_EXTRA_CA_CERTS$|_CERT_FILE$|_CA_?(BUNDLE|INFO)$')
  on_machine+=(HOME=/root TERM="${TERM:-dumb}"
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin /bin/bash -c)
}

check_out() {
  if $worktree; then
    mkdir "$machine/root/busbar"
    git -C "$top" -c safe.directory='*' ls-files -z --cached --others --exclude-standard |
      (cd "$top" && xargs -0 sh -c 'for f; do [ ! -e "$f" ] || printf "%s\0" "$f"; done' sh |
        tar -c --null -T -) | tar -x -C "$machine/root/busbar"
  else
    git -c safe.directory='*' clone -q --no-local "$top" "$machine/root/busbar"
  fi
}

# measure COMMAND: shows its output and says how long it took; afterwards nothing of it may run.
summary=()
measure() {
  local from=$SECONDS status=0 left
  say "On the fresh machine: $1"
  timeout --foreground 5400 "${on_machine[@]}" "cd /root/busbar && $1" || status=$?
  summary+=("$(printf '%-34s exit %d after %d min %02d s' "$1" "$status" \
    $(((SECONDS - from) / 60)) $(((SECONDS - from) % 60)))")
  left=$(ps -e -o args= | grep -E '^(/usr/lib/postgresql/|[^ ]*build/release/busbar |[^ ]*(pgbouncer|nginx) |python3 -m http|psql )' || true)
  if [[ -n $left ]]; then
    summary+=("still running afterwards: $left")
    status=1
  fi
  ((status == 0)) || result=1
}

if ! $inside; then
  install_packages fresh
  machine=$(mktemp -d /var/tmp/busbar-fresh.XXXXXX)
  chmod 755 "$machine"
  enter_namespaces
  exit
fi
result=0 log=$top/build/fresh-machine.log
set_on_machine
make_machine
check_out
measure './scripts/quickstart.sh --check'
measure './scripts/test.sh'
printf '%s\n' "${summary[@]}"
exit "$result"
