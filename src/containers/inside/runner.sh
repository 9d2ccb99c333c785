# Waits for commands and runs one after the other, each in a process of its own, for as long as somebody is there to
# give it any. A request is its length in bytes, a line end, and assignments for bash.
trap : TERM INT HUP QUIT USR1 USR2 PIPE
export -n _THREADBOX_COMMAND
open_quiet
# Each command gets a process group: what it sends to its own does not reach the runner.
set -m
while IFS= read -r length && [[ $length == +([0-9]) ]] && LC_ALL=C IFS= read -r -N "$length" request; do
  (
    eval "$request"
    unset -v request length
    take_execution
    run_command
  ) </dev/null || exit
done
