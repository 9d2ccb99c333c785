# Shared by the scripts that run inside a container, as the user of the commands: bash, coreutils and git, no more.
#
# What lies under $base belongs to the same user as the commands, so nothing here can be trusted by the bot. It only
# has to be right as long as a command does not break it on purpose; then it fools nobody but its own thread.
#
#   ready              the workspace is prepared
#   executions/ID.*    claim   made once (O_EXCL): who made it runs the command. "pid starttime clock" of the wrapper, and
#                              what ending.sh had counted by then
#                      out     the first part of the output; ring0, ring1 the last; ring "turn base" where it stands
#                      exit    "status time" as soon as the command has ended; stop: why it was asked to end
#                      numstat what changed, as git prints it with -z; facts: the end, complete by its last line
#                      state   exported environment and directory at the end of the command
#   last               the ID whose state the next command begins with; executions since old spools were removed, and
#                      how much the last one wrote
#   reserve/1 to 4     room that is given up where the disk is full, so that a command that makes room can run; full: the
#                      last command has found it so
#   index, tree, objects   the snapshot of the workspace after the last command, apart from the user's own
#   saved              the snapshot of the last save, and the tree of the user's index if known; its time: when that began
#   looked             at that save: e and a .env file that git ignores, i and a directory that it ignores, as a pattern; NUL
#   present            which files that say how a repository stands there were at that save; and after the last command
exec 2>/dev/null
base=/workspace/.threadbox
head_bytes=$((64 << 20)) ring_bytes=$((8 << 20)) block=65536
git_seconds=10
unset -v _THREADBOX_RUN

# Which execution is meant from here on.
take_execution() {
  export -n ${!_THREADBOX_@}
  id=$_THREADBOX_ID repository=$_THREADBOX_REPOSITORY nonce=$_THREADBOX_NONCE background=$_THREADBOX_BACKGROUND
  spool=$base/executions/$id
  unset -v _THREADBOX_ID _THREADBOX_REPOSITORY _THREADBOX_NONCE _THREADBOX_BACKGROUND
}

# Fields of /proc/PID/stat from the third on (proc(5)): the second may hold blanks and brackets.
stat_of() {
  local line
  stat=()
  read -r line <"/proc/$1/stat" || return 1
  # Letters and numbers; a here-string would be read byte by byte.
  stat=(${line##*) })
}

# Away with what is there and no file: a FIFO would block whoever opens it.
plain() {
  local file
  for file; do
    [[ ! -e $file || -f $file ]] || rm -rf -- "$file" </dev/null >/dev/null
  done
}

# A file made by O_EXCL: of two who try only one gets on.
claim() {
  [[ ! -e $spool.claim ]] || return 1
  make_claim || { [[ ! -e $spool.claim ]] && give_up_reserve && make_claim; }
}
make_claim() {
  set -C
  : >"$spool.claim"
  local status=$?
  set +C
  return $status
}

# True while the wrapper of this execution lives: its pid, and not a later process with the same one.
is_alive() {
  local pid start rest
  read_words "$spool.claim" pid start rest || return 1
  stat_of "$pid" && [[ ${stat[0]} != Z && ${stat[19]} == "$start" ]]
}

# True once everything about the execution has been written down.
is_finished() {
  local line
  [[ -f $spool.facts ]] || return 1
  while IFS= read -r line; do [[ $line == numstat ]] && return 0; done <"$spool.facts"
  return 1
}

# By a pipe into which nobody writes. `sleep` is a process more: where there are as many as there may be, bash tries for 15
# seconds to begin one.
pause() {
  open_quiet
  read -rt "$1" -u "$quiet"
}
open_quiet() { [[ -n $quiet ]] || exec {quiet}<> <(:); }

# A value for one line of the facts.
one_line() {
  value=${1:0:4000}
  value=${value//[$'\n\r']/ }
}

# Processes of the user beside runners, these scripts and the pumps of all executions: all, or those started since. The
# first few by their names as well. What else the bot looks for, saves and puts here has a leader of its session that is
# called threadbox-...: then all in it are ours. In the sessions of runners, commands run.
#
# A command may hide, so nothing is believed that it can set: its name, its parent once that has ended, who owns its
# directory in /proc (prctl(2), PR_SET_DUMPABLE), its arguments, or that its first thread has ended.
# @param $1 without those either that somebody has begun who was there before and still is: what a build compiles that an
#   earlier command has left at work
# @param $2 the wrapper of an execution, also where its runner has gone
find_others() {
  local since=$1 wrapper=$2 proc pid value
  local -A known=() leaders=()
  local -a words parents=() behind=() found=()
  others=() named=() starts=()
  for proc in /proc/[0-9]*; do
    pid=${proc#/proc/}
    kill -0 "$pid" && stat_of "$pid" || continue
    parents[pid]=${stat[1]} starts[pid]=${stat[19]}
    [[ ${stat[0]} != Z ]] || ((stat[17] > 1)) || continue
    [[ -z $since ]] || ((stat[19] >= since)) || continue
    ! is_among_ours "${stat[3]}" || continue
    ! is_ours "$pid" || continue
    found+=("$pid")
  done
  for pid in "${found[@]}"; do
    [[ -z $since ]] || ! is_of_earlier "$pid" || continue
    # It may have ended meanwhile.
    stat_of "$pid" && { [[ ${stat[0]} != Z ]] || ((stat[17] > 1)); } || continue
    others+=("$pid")
    ((${#named[@]} < most_named)) || continue
    words=()
    mapfile -d '' -t -n 20 words <"/proc/$pid/cmdline"
    # Its first thread has ended.
    [[ -n ${words[*]} ]] || IFS= read -r words <"/proc/$pid/comm"
    one_line "${words[*]}"
    named+=("$pid ${value:0:200}")
  done
}
most_named=5

# Whether somebody is behind it who began before `since`. What has lost its parent is PID 1's, and nobody becomes the child of
# another by wanting to.
is_of_earlier() {
  [[ $1 != 1 && $1 != "$wrapper" && -n ${starts[$1]} ]] || return
  if [[ -z ${behind[$1]} ]]; then
    if ((starts[$1] < since)); then
      behind[$1]=0
    else
      is_of_earlier "${parents[$1]}"
      behind[$1]=$?
    fi
  fi
  return "${behind[$1]}"
}

# One of ours has a name of ours, and so has all it came from, up to one that the engine has started: that has no parent
# here (pid_namespaces(7)). PID 1 is the parent of whoever has lost theirs.
is_ours() {
  local -a stat words
  [[ -z ${known[$1]} ]] || { [[ ${known[$1]} == yes ]]; return; }
  known[$1]=no
  mapfile -d '' -t -n 3 words <"/proc/$1/cmdline"
  # The second and the third: one that has not got its name yet.
  [[ ${words[0]} == threadbox-* || ${words[2]} == 'eval "$_THREADBOX_RUN"' || ${words[2]} == 'exec -a threadbox-'* ]] || return
  stat_of "$1" || return
  # A pump goes on alone where somebody holds its pipe: it began before what is to be ended now.
  [[ $1 == "$wrapper" ]] || ((stat[1] == 0)) || { ((stat[1] != 1)) && is_ours "${stat[1]}"; } ||
    { ((stat[1] == 1)) && [[ -z $since && ${words[0]} == threadbox-runner ]]; } || return
  known[$1]=yes
}

# Whether a session is one of ours in which no commands run, looked up once in each find_others.
is_among_ours() {
  local leader
  local -a stat
  if [[ -z ${leaders[$1]} ]]; then
    leaders[$1]=no
    [[ -r /proc/$1/cmdline ]] && IFS= read -r -d '' leader <"/proc/$1/cmdline"
    [[ $leader != threadbox-* || $leader == threadbox-runner ]] || ! stat_of "$1" || ((stat[1] != 0)) || leaders[$1]=yes
  fi
  [[ ${leaders[$1]} == yes ]]
}

find_branch() {
  local head
  branch=
  [[ -f /workspace/$repository/.git/HEAD ]] || return
  read_lines "/workspace/$repository/.git/HEAD" head
  [[ $head == 'ref: refs/heads/'* ]] && branch=${head#ref: refs/heads/}
}

# How much of the output lies in no file, and after how much of it: known when the ring was begun.
find_gap() {
  local turn base_bytes sizes
  gap='0 0'
  ring=()
  plain "$spool".{ring,ring0,ring1}
  [[ -f $spool.ring ]] || return
  read_words "$spool.ring" turn base_bytes || return
  ring=("$spool.ring$((turn % 2))")
  ((turn == 0)) || ring=("$spool.ring$(((turn - 1) % 2))" "${ring[@]}")
  sizes=($(stat -c %s "$spool.out" "${ring[@]}"))
  ((turn == 0)) && sizes[1]=0
  gap="${sizes[0]} $((base_bytes - sizes[0] - sizes[1]))"
}

# Whether the command has left anything to be mailed: directories are named by commands, without the attempt.
find_outbox() {
  local entry
  has_outbox=
  for entry in "/workspace/.outbox/${id%-*}"/{*,.[!.]*}; do
    [[ ! -e $entry && ! -L $entry ]] || has_outbox=yes
  done
}

# Writes the facts down. What a full disk does not take is still in $facts.
record_facts() {
  local exit_status=$1 ended=$2 why line
  find_branch
  one_line "$branch"
  find_others '' "$BASHPID"
  facts="threadbox 1"$'\n'"background ${#others[@]}"$'\n'"branch $value"$'\n'"changes $changes"$'\n'
  for line in "${named[@]}"; do facts+="process $line"$'\n'; done
  if ((${#dropped[@]} > 0)); then
    facts+="dropped ${#dropped[@]}"$'\n'
    for line in "${dropped_named[@]}"; do facts+="dropped-process $line"$'\n'; done
  fi
  [[ -z $exit_status ]] || facts+="exit $exit_status"$'\n'
  [[ -z $started || -z $ended ]] || facts+="time $started $ended"$'\n'
  if [[ -e $spool.stop ]]; then
    read_lines "$spool.stop" why
    one_line "$why"
    facts+="stopped $value"$'\n'
  fi
  [[ -z $lost ]] || facts+=$'lost\n'
  [[ -z $unended ]] || facts+=$'unended\n'
  facts+=$shortages
  ! is_saved || facts+=$'saved\n'
  find_outbox
  [[ -z $has_outbox ]] || facts+=$'outbox\n'
  plain "$spool.facts"
  find_gap
  facts+="gap $gap"$'\n'$'numstat\n'
  printf %s "$facts" >"$spool.facts"
}

# The facts, what changed, the output, and a trailer that shows that nothing was cut off.
show() {
  local -a files=()
  local text
  plain "$spool".{facts,numstat,end,out}
  if [[ -n $facts && ! -s $spool.numstat && ${#ring[@]} == 0 ]] && read_small "$spool.out"; then
    # No process for the usual case.
    printf '%s\0\0end\n%s' "$facts" "$text"
    end_answer
    return
  fi
  [[ ! -s $spool.numstat ]] || files=("$spool.numstat")
  printf '\0\0end\n' >"$spool.end"
  if is_finished && [[ -s $spool.end ]]; then
    files=("$spool.facts" "${files[@]}" "$spool.end")
    [[ ! -s $spool.out ]] || files+=("$spool.out")
    cat -- "${files[@]}" "${ring[@]}"
  else
    printf '%s\0\0end\n' "$facts"
    [[ ! -s $spool.out ]] || cat -- "$spool.out" "${ring[@]}"
  fi
  end_answer
}

# Sets text to what a file holds. False when that is much, or no text.
read_small() {
  local LC_ALL=C
  text=
  [[ -s $1 ]] || return 0
  ! IFS= read -r -d '' -n 2048 text <"$1"
}

# An answer without a result.
say() {
  printf 'threadbox 1\n%s\n\0\0end\n' "$1"
  end_answer
}

end_answer() {
  if [[ -n $nonce ]]; then printf '\0threadbox-end %s\0' "$nonce"; else printf '\0threadbox-end\0'; fi
}
