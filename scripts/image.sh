#!/usr/bin/env bash
# Tries the Dockerfile without Docker: each stage is a minimal Debian 12 in a chroot, in which its instructions
# are carried out; then the result runs as the image would, as its user, without capabilities, on a root file
# system that cannot be written, against a private PostgreSQL. Needs root and ten minutes or more; not a part of
# scripts/test.sh.
# What it cannot try: Docker's own reading of the files, layers, the network between containers, and the images of
# others in the compose files. debian:bookworm-slim has less documentation than what is used here, nothing else.
. "$(dirname "${BASH_SOURCE[0]}")/packages.sh"
. "$top/scripts/machine.sh"

((EUID == 0)) || die "chroot and debootstrap need root"
case ${1:-} in
  '')
    install_packages fresh run
    work=$(mktemp -d /var/tmp/busbar-image.XXXXXX)
    chmod 755 "$work"
    enter_namespaces "$work" "$top/scripts/image.sh" --inside "$work"
    exit
    ;;
  --inside) work=$2 ;; # by the script itself
  *) die "usage: scripts/image.sh" ;;
esac

log=$top/build/image.log server=''
trap '[[ -z $server ]] || kill -KILL "$server" 2>/dev/null || true; stop_postgres "$work/postgres"' EXIT

# The files that Docker would send: all of the checkout but what is ignored.
make_context() {
  local ignored=() line
  while read -r line; do
    [[ -z $line || $line == '#'* ]] || ignored+=(":(exclude,glob)$line" ":(exclude,glob)$line/**")
  done <"$top/.dockerignore"
  mkdir "$work/context"
  git -C "$top" -c safe.directory='*' ls-files -z --cached --others --exclude-standard -- . "${ignored[@]}" |
    (cd "$top" && xargs -0 sh -c 'for f; do [ ! -e "$f" ] || printf "%s\0" "$f"; done' sh |
      tar -c --null -T -) | tar -x -C "$work/context"
}

# A stage's state: its folder, working folder, environment and user.
root='' folder=/ environment=() user='' health='' entry='' command='' storage=''
declare -A stages=()

begin_stage() { # IMAGE [AS NAME]
  [[ $1 == debian:bookworm-slim ]] || die "the Dockerfile begins with $1"
  root=$work/stage${#stages[@]}
  stages[${3:-last}]=$root
  cp -a "$work/debian" "$root"
  mount_kernel "$root"
  # A compile cache saves minutes, and nothing else.
  local cache=${CCACHE_DIR:-$HOME/.cache/ccache}
  if [[ -d $cache ]]; then
    mkdir -p "$root/var/cache/ccache"
    mount --bind "$cache" "$root/var/cache/ccache"
  fi
  folder=/ environment=() user=''
}

# Sets inside: what stands before a program that runs in the present stage.
inside=()
set_inside() {
  inside=(chroot "$root" /usr/bin/env -i "${network_environment[@]}" "${environment[@]}" HOME=/root TERM=dumb
    CCACHE_DIR=/var/cache/ccache CCACHE_BASEDIR=/ CCACHE_NOHASHDIR=1
    PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin)
}

run_instruction() {
  local shown=$1
  ((${#shown} <= 60)) || shown=${shown:0:60}…
  set_inside
  # shellcheck disable=SC2016 # the shell inside expands it
  run_shown "RUN $shown" 3600 "$log" "${inside[@]}" /bin/sh -c 'cd "$1" && eval "$2"' sh "$folder" "$1"
}

copy_instruction() {
  local from=$work/context words target
  read -ra words <<<"$1"
  if [[ ${words[0]} == --from=* ]]; then
    from=${stages[${words[0]#--from=}]}
    words=("${words[@]:1}")
  fi
  target=${words[-1]}
  [[ $target == /* ]] || target=$folder/$target
  local source
  for source in "${words[@]:0:${#words[@]}-1}"; do
    [[ -e $from/$source ]] || die "COPY: there is no $source"
    if [[ -d $from/$source ]]; then
      mkdir -p "$root/$target" && cp -a "$from/$source/." "$root/$target/"
    else
      mkdir -p "$root/${target%/}" 2>/dev/null || true
      cp -a "$from/$source" "$root/$target"
    fi
  done
}

carry_out() { # NAME REST
  case $1 in
    # shellcheck disable=SC2086 # words
    FROM) begin_stage $2 ;;
    WORKDIR) folder=$2 && mkdir -p "$root/$folder" ;;
    ENV) environment+=("$2") ;;
    COPY) copy_instruction "$2" ;;
    RUN) run_instruction "$2" ;;
    USER) user=$2 ;;
    VOLUME) storage=$2 ;;
    HEALTHCHECK) health=${2#*CMD } ;;
    ENTRYPOINT) entry=$2 ;;
    CMD) command=$2 ;;
    EXPOSE) ;;
    *) die "the Dockerfile has $1, which this script does not know" ;;
  esac
}

# words JSON: ["a", "b"] as lines.
words() { python3 -c 'import json, sys; print(*json.loads(sys.argv[1]), sep="\n")' "$1"; }

try_result() {
  local start=() check=() i status=0
  mapfile -t start < <(words "$entry" && words "$command")
  mapfile -t check < <(words "$health")
  start_postgres "$work/postgres"
  environment+=("DATABASE_URL=$pg_url" BUSBAR_INSECURE=true "BUSBAR_PORT=$(free_port)" "BUSBAR_METRICS_PORT=$(free_port)")
  local port=${environment[-2]#*=}
  set_inside
  # With the rights that docker-compose.yml leaves it.
  local in_container=("${inside[@]}" /usr/bin/setpriv --reuid="${user%:*}" --regid="${user#*:}" --clear-groups
    --no-new-privs --inh-caps=-all --bounding-set=-all)
  mkdir "$work/volume"
  chown --reference="$root$storage" "$work/volume" && chmod --reference="$root$storage" "$work/volume"
  mount --bind "$root" "$root"
  mount -o remount,bind,ro "$root"
  mount --bind "$work/volume" "$root$storage"
  say "Running ${start[*]} as ${user}, on a root that cannot be written"
  "${in_container[@]}" "${start[@]}" >"$work/server.log" 2>&1 </dev/null &
  server=$!
  for ((i = 0; i < 300; i++)); do
    ! "${in_container[@]}" "${check[@]}" --active >"$work/health.log" 2>&1 || break
    kill -0 "$server" 2>/dev/null || break
    sleep 0.1
  done
  "${in_container[@]}" "${check[@]}" --active || { cat "$work/server.log" && die "it does not become active"; }
  psql -X -q "postgresql://postgres@127.0.0.1:$pg_port/postgres" \
    -c "CREATE TABLE items (id int PRIMARY KEY); INSERT INTO items VALUES (41)"
  curl -sf -m 30 "http://127.0.0.1:$port/v1/shape?table=items&offset=-1" | grep -q '"id":"41"' ||
    die "it does not serve a shape"
  say "It is active and serves a shape; it runs as $(stat -c %u "/proc/$server"), health says $(<"$work/health.log")"
  kill -TERM "$server"
  wait "$server" || status=$?
  server=''
  ((status == 0)) || { cat "$work/server.log" && die "it ended with $status"; }
  ! "${in_container[@]}" "${check[@]}" >/dev/null 2>&1 || die "its health check passes when it has ended"
  say "It ended in order"
}

set_network_environment
make_machine "$work/debian" "$log"
make_context
while IFS= read -r line; do
  name=${line%% *}
  carry_out "$name" "${line#* }"
done < <(sed -e '/^#/d' "$top/Dockerfile" | sed -e ':a' -e '/\\$/N; s/\\\n *//; ta' | grep -v '^$')
before=$(du -sxm "$work/debian" | cut -f 1)
after=$(du -sxm --exclude=var/cache/ccache "$root" | cut -f 1)
say "The image adds $((after - before)) MB to Debian's"
try_result
