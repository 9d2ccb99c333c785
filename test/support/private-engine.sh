# The machine that a private engine runs on: the first process of namespaces of its own, so that with it goes all that
# runs there. It does what it is told, line by line, and ends with whoever tells it.
#
# usage: private-engine.sh DIR
dir=$1
mountpoint -q /sys/fs/cgroup || mount -t cgroup2 cgroup2 /sys/fs/cgroup
ip link set lo up
start() {
  # Numbers are small in here, and soon taken by somebody else.
  rm -f "$dir/pid" "$dir/exec/containerd/containerd.pid"
  dockerd --host="unix://$dir/docker.sock" --data-root="$dir/data" --exec-root="$dir/exec" --pidfile="$dir/pid" \
    --bridge=none --log-level=warn "$@" >>"$dir/log" 2>&1 &
  engine=$!
}
stop() {
  kill "-$1" "$engine"
  # Says how it ended, where it was killed.
  { wait "$engine"; } 2>/dev/null
}
while read -r line; do
  $line
  echo done
done
