# What may have kept a command from its work, as the kernel has it: so that nobody has to guess from an exit status.

# Sets oom_kills and refused: how many processes of this container were ended for want of memory, and how many could not
# be started for the limit on them, ever. cgroups v2 or v1 (cgroups(7)); `-` where neither can be seen.
count_shortages() {
  local key value memory=/sys/fs/cgroup/memory.events pids=/sys/fs/cgroup/pids.events
  oom_kills=- refused=-
  [[ -r $pids ]] || memory=/sys/fs/cgroup/memory/memory.oom_control pids=/sys/fs/cgroup/pids/pids.events
  while read -r key value; do [[ $key != oom_kill ]] || oom_kills=$value; done <"$memory"
  while read -r key value; do [[ $key != max ]] || refused=$value; done <"$pids"
}

# Sets `shortages`, lines of the facts, from the counts before and at the end of a command. A container that was started
# again in between counts from 0. And is_full, where the workspace has no room left.
find_shortages() {
  local oom_before=$1 refused_before=$2 exit_status=$3 limit blocks
  shortages=
  [[ $oom_before$refused_before == +([0-9]) && $oom_kills$refused == +([0-9]) ]] || return
  shortages=$'counted\n'
  if ((oom_kills > oom_before)); then
    read -r limit </sys/fs/cgroup/memory.max || read -r limit </sys/fs/cgroup/memory/memory.limit_in_bytes
    shortages+="oom $((oom_kills - oom_before)) $limit"$'\n'
  fi
  if ((refused > refused_before)); then
    read -r limit </sys/fs/cgroup/pids.max || read -r limit </sys/fs/cgroup/pids/pids.max
    shortages+="pids $((refused - refused_before)) $limit"$'\n'
  fi
  # A process more, which a command that went well is spared, unless the one before it had found the disk full. Free and
  # all blocks, their size, free and all inodes.
  if [[ $exit_status != 0 || -n $lost || -n $was_full ]]; then
    blocks=($(stat -f -c '%a %b %S %d %c' -- /workspace /tmp /dev/shm </dev/null))
    shortages+="disks ${blocks[*]}"$'\n'
    ((blocks[0] * blocks[2] >= 1 << 20)) || is_full=yes
  fi
}
