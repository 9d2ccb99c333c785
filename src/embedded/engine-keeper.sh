#!/bin/sh
# Runs a Docker Engine (or the relay to one) as root for as long as somebody uses it, and tidies up after it.
#
# usage: engine-keeper.sh ENGINE_DIR RUN_DIR OWNER_UID LINGER_SECONDS COMMAND...
#
# Users hold a shared lock on ENGINE_DIR/users.lock. When the last one has let go, by itself or by being killed,
# the exclusive lock comes to us, and after LINGER_SECONDS without a new user the command is stopped. Whoever wants
# to know that all is over waits for ENGINE_DIR/keeper.lock.
#
# It is the first process of process and mount namespaces of its own: with it go the engine, its containers and their
# mounts, all of them, however it ends.
set -u
if [ "$1" != --inside ]; then
  exec unshare --mount --propagation slave --pid --fork --kill-child --mount-proc sh "$0" --inside "$@"
fi
engine_dir=$2 run_dir=$3 owner=$4 linger=$5
shift 5
exec </dev/null >"$engine_dir/engine.log" 2>&1
exec 8>"$engine_dir/keeper.lock" 9<"$engine_dir/users.lock"
flock --nonblock 8 || { echo "keeper: another one is at work in $engine_dir"; exit 75; }

rm -rf --one-file-system "$run_dir"
mkdir -m 0700 "$run_dir" && chown "$owner" "$run_dir" || exit 1

# Where no init has done it. It stays in here.
if ! mountpoint -q /sys/fs/cgroup; then
  mount -t cgroup2 cgroup2 /sys/fs/cgroup || echo "keeper: no control groups can be mounted at /sys/fs/cgroup"
fi

leaving=
trap 'leaving=yes' TERM INT HUP
{
  while flock --exclusive 9; do
    [ "$linger" = 0 ] && break
    flock --unlock 9
    sleep "$linger"
    flock --nonblock --exclusive 9 && break
  done
  kill -TERM $$
} 8>&- &

# An engine that is to have no default bridge takes away the one called docker0, whoever has made it. Where there is one of
# another engine's, ours has a bridge of its own instead, with addresses that nobody has (RFC 5737).
own_bridge=
if ip link show dev docker0 >/dev/null 2>&1; then
  for word; do
    shift
    if [ "$word" = --bridge=none ]; then
      own_bridge=tbd-$(printf %s "$engine_dir" | cksum | cut -c1-8)
      ip link add "$own_bridge" type bridge 2>/dev/null
      ip address replace 192.0.2.1/30 dev "$own_bridge" && word=--bridge=$own_bridge
    fi
    set -- "$@" "$word"
  done
fi

pause=1
while [ -z "$leaving" ]; do
  started=$(date +%s)
  # Of a predecessor that was killed. Numbers are small in here, and soon taken by somebody else.
  rm -f "$run_dir/dockerd.pid" "$run_dir/exec/containerd/containerd.pid"
  "$@" 8>&- 9>&- &
  engine=$!
  wait "$engine"
  status=$?
  [ -n "$leaving" ] && break
  [ $(($(date +%s) - started)) -gt 60 ] && pause=1
  echo "keeper: it ended with status $status, starting it again in $pause s"
  sleep "$pause" 8>&- 9>&- &
  wait $!
  pause=$((pause < 60 ? pause * 2 : 60))
done

# Its networks stay known to the engine, which makes their interfaces again when it starts.
bridges=
if [ -d "$run_dir/exec" ] && command -v docker >/dev/null; then
  ask() { timeout 5 docker -H "unix://$run_dir/docker.sock" network "$@"; }
  name='{{with index .Options "com.docker.network.bridge.name"}}{{.}}{{else}}{{printf "br-%.12s" .Id}}{{end}}'
  # One by one, as a network may go in between.
  for network in $(ask ls --quiet --filter driver=bridge); do
    bridges="$bridges $(ask inspect --format "$name" "$network")"
  done
fi

kill -TERM "$engine" 2>/dev/null
waited=0
while kill -0 "$engine" 2>/dev/null && [ "$waited" -lt 300 ]; do
  sleep 0.1
  waited=$((waited + 1))
done
# Whoever is left: all processes of this namespace but this one.
kill -KILL -1 2>/dev/null

for bridge in $bridges $own_bridge; do
  # Not by /sys, which may be that of another network namespace.
  ip link show dev "$bridge" >/dev/null 2>&1 || continue
  ip link delete "$bridge"
  for iptables in iptables ip6tables; do
    command -v "$iptables" >/dev/null || continue
    for table in filter nat; do
      "$iptables" --wait 5 --table "$table" --list-rules 2>/dev/null | sed -n "/ $bridge /s/^-A //p" |
        while read -r rule; do
          # Rules are lists of plain words: the splitting is meant.
          # shellcheck disable=SC2086
          "$iptables" --wait 5 --table "$table" --delete $rule
        done
    done
    # Of the bot's network guard: first all are emptied, as one may lead to another.
    for action in flush delete-chain; do
      "$iptables" --wait 5 --list-rules 2>/dev/null | sed -n "s/^-N \($bridge-.*\)/\1/p" |
        while read -r chain; do
          "$iptables" --wait 5 "--$action" "$chain"
        done
    done
  done
done
rm -rf --one-file-system "$run_dir"
