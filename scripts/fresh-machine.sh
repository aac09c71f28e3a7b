#!/usr/bin/env bash
# Runs the two commands of the README on a machine that has nothing but git and the checkout: a
# minimal Debian 12 in a temporary chroot. Needs root. Reports how long each took.
#   scripts/fresh-machine.sh               with the last commit
#   scripts/fresh-machine.sh --worktree    with the files as they are now
# Everything runs in namespaces of its own: when the script ends, mounts and processes are gone.
. "$(dirname "${BASH_SOURCE[0]}")/packages.sh"
. "$top/scripts/machine.sh"

machine='' inside=false worktree=false
while (($#)); do
  case $1 in
    --worktree) worktree=true ;;
    --inside) inside=true machine=$2 && shift ;; # by the script itself
    *) die "usage: scripts/fresh-machine.sh [--worktree]" ;;
  esac
  shift
done
((EUID == 0)) || die "chroot and debootstrap need root"

# Sets on_machine: what stands before a shell command that runs there, with a bare environment but
# for how the network is reached.
on_machine=()
set_on_machine() {
  set_network_environment
  on_machine=(chroot "$machine" /usr/bin/env -i "${network_environment[@]}" HOME=/root TERM="${TERM:-dumb}"
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
  arguments=(--inside "$machine")
  ! $worktree || arguments+=(--worktree)
  enter_namespaces "$machine" "$top/scripts/fresh-machine.sh" "${arguments[@]}"
  exit
fi
result=0 log=$top/build/fresh-machine.log
set_on_machine
make_machine "$machine" "$log"
mount_kernel "$machine"
run_shown "Installing git" 600 "$log" "${on_machine[@]}" \
  'apt-get -q update && apt-get -q -y install --no-install-recommends git'
check_out
measure './scripts/quickstart.sh --check'
measure './scripts/test.sh'
printf '%s\n' "${summary[@]}"
exit "$result"
