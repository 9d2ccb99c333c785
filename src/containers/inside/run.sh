# Runs one command. Of two starts with one ID only the first does anything.
run_command() {
  trap : TERM INT HUP QUIT USR1 USR2 PIPE
  # What is there has to be looked after first: a command may have taken the place of it, or closed it.
  if [[ ! -f $base/ready || ! -d $base/executions || ! -w $base/executions || ! -x $base/executions ]]; then
    if is_read_only; then say no-claim; else say not-ready; fi
  elif claim; then
    run_claimed
  elif [[ -e $spool.claim ]]; then
    say already-started
  else
    say no-claim
  fi
}

# A file system that has failed: in a directory that somebody has closed nothing can be written either.
is_read_only() {
  local place options rest
  while read -r rest place rest options rest; do
    [[ $place != /workspace || ,$options, != *,ro,* ]] || return 0
  done </proc/self/mounts
  return 1
}

# Empties the pipe for as long as anybody holds its other end, into files of limited size: the first part, then two
# files in turn for the last. dd counts reads, not bytes, and writes each at once. It is started so that a signal sent to
# all does not end it.
pump() {
  exec 8<&- 9>&-
  local file=$spool.out limit=$head_bytes used=0 total=0 turn=-1 count report is_short=
  while :; do
    count=$(((limit - used) / block))
    if ((count * block < ring_bytes / 2)); then
      turn=$((turn + 1)) limit=$ring_bytes used=0 file=$spool.ring$((turn % 2))
      count=$((ring_bytes / block))
      : >"$file" && printf '%s %s\n' "$turn" "$total" >"$spool.ring"
    fi
    report=$(LC_ALL=C exec -a threadbox-pump dd bs=$block count=$count 2>&1 >>"$file")
    if (($? != 0)) || [[ ! $report =~ ([0-9]+)\+([0-9]+)\ records\ in.*[[:space:]]([0-9]+)\ byte ]]; then
      # No room: the command shall go on all the same (it may be the one that makes room). Of a long output a little is
      # given up for what has to be written down about it, and about the command after it.
      used=$(stat -c %s "$file")
      if [[ -z $is_short ]] && ((turn < 0 && used < 1 << 20)) && give_up_reserve; then
        is_short=yes total=$used
        continue
      fi
      ((used < 1 << 20)) || truncate -s -262144 "$file"
      printf 'lost\n'
      (exec -a threadbox-pump cat >/dev/null)
      return
    fi
    ((used += BASH_REMATCH[3], total += BASH_REMATCH[3]))
    if ((BASH_REMATCH[1] + BASH_REMATCH[2] < count)); then
      if [[ -z $is_short ]]; then printf '%s\n' "$total"; else printf 'lost\n'; fi
      return
    fi
  done
}

# True when the pump has written all there is: the pipe is empty and its dd waits for more.
is_drained() {
  local proc
  read -rt 0 -u "$pipe" && return 1
  for proc in /proc/[0-9]*; do
    [[ -O $proc ]] && stat_of "${proc#/proc/}" && [[ ${stat[1]} == "$pump_pid" ]] || continue
    [[ ${stat[0]} == S ]] || return 1
  done
  ! read -rt 0 -u "$pipe"
}

# Waits for the pump's end. Somebody who was left in the background may hold the pipe open: then it goes on alone.
drain() {
  local tries pipe
  lost= written=
  IFS= read -rt 0.1 -u 8 written
  if (($? <= 128)); then
    [[ $written != lost ]] || lost=yes
    return
  fi
  exec {pipe}<"/proc/$pump_pid/fd/0" || return
  for ((tries = 0; tries < 50; tries++)); do
    is_drained && break
    pause 0.02
  done
  exec {pipe}<&-
}

log() {
  one_line "$1"
  value=${value//[[:cntrl:]]/ }
  plain "$base/log"
  TZ=UTC0 printf '%(%Y-%m-%dT%H:%M:%SZ)T %s %s\n' -1 "$id" "${value:0:300}" >>"$base/log"
}

# Which state the next command begins with, and whether old spools are to be removed now: with every command would take
# longer the more claims there are.
remember_last() {
  [[ $since == +([0-9]) ]] || since=$most_spools
  [[ $last_written == +([0-9]) ]] || last_written=$most_spool_bytes
  forgets=
  if ((++since >= most_spools || last_written >= most_spool_bytes)); then forgets=yes since=0; fi
  [[ ! -s $spool.state ]] || last=$id
  # The disk is full: there shall be room to write down what follows.
  [[ -z $lost ]] || forget_earlier
  [[ $written == +([0-9]) ]] || written=$most_spool_bytes
  plain "$base/last"
  printf '%s %s %s\n' "$last" "$since" "$written" >"$base/last"
}
most_spools=20 most_spool_bytes=$((1 << 20))

# Files of earlier executions, whose results have been taken. Claims and the state to begin with stay.
forget_earlier() {
  local file old=()
  shopt -s nullglob
  for file in "$base"/executions/*; do
    case $file in
      *.claim | "$spool".* | "$base/executions/$last.state") ;;
      *) old+=("$file") ;;
    esac
  done
  shopt -u nullglob
  ((${#old[@]} == 0)) || rm -f -- "${old[@]}" </dev/null >/dev/null
}

run_claimed() {
  local own_start first more last since last_written status started ended forgets written lost unended=
  local oom_kills refused oom_before refused_before shortages claimed was_full is_full=
  local -a dropped=() dropped_named=()
  trap : TERM INT HUP QUIT USR1 USR2 PIPE
  stat_of "$BASHPID"
  own_start=${stat[19]}
  count_shortages
  oom_before=$oom_kills refused_before=$refused
  # The command before has found the disk full: it shall be possible to see what this one says.
  was_full=
  if [[ -e $base/reserve/full ]]; then
    was_full=yes
    rm -rf -- "$base/reserve/full" </dev/null >/dev/null
    give_up_reserve
  fi
  claimed="$BASHPID $own_start $EPOCHREALTIME $oom_kills $refused"
  printf '%s\n' "$claimed" >"$spool.claim" || { give_up_reserve && printf '%s\n' "$claimed" >"$spool.claim"; }
  [[ -z $nonce ]] || printf '\0threadbox-begun %s\0' "$nonce"

  # From its first moment nothing ends it: what is ignored stays ignored in it, what is trapped here does not.
  trap '' TERM INT HUP QUIT USR1 USR2 PIPE
  coproc PUMP { pump; }
  pump_pid=$PUMP_PID
  trap : TERM INT HUP QUIT USR1 USR2 PIPE
  exec 8<&"${PUMP[0]}" 9>&"${PUMP[1]}"
  eval "exec ${PUMP[0]}<&- ${PUMP[1]}>&-"

  # As long as there is room for a process.
  open_quiet
  first=$_THREADBOX_SCRIPT_0
  [[ $first == *[![:space:]]*$'\n'*[![:space:]]* ]] && more=' ...' || more=
  first=${first#"${first%%[![:space:]]*}"}
  log "\$ ${first%%$'\n'*}$more"

  [[ " $_THREADBOX_GIVEN " != *' THREADBOX_OUTBOX '* ]] || mkdir -p -- "$THREADBOX_OUTBOX"
  cd "/workspace/$repository" || cd /workspace
  plain "$base/last"
  read_words "$base/last" last since last_written
  started=$EPOCHREALTIME
  command_process
  status=$?
  ended=$EPOCHREALTIME
  exec 9>&-
  plain "$spool.exit"
  printf '%s %s %s\n' "$status" "$started" "$ended" >"$spool.exit"
  if [[ -e $spool.stop ]]; then end_rest; elif [[ $background == end ]]; then end_background; fi
  drain
  exec 8<&-
  remember_last
  count_shortages
  find_shortages "$oom_before" "$refused_before" "$status"
  find_changes
  record_facts "$status" "$ended"
  log "exit $status"
  show
  [[ -z $forgets ]] || forget_earlier
  [[ -e $base/reserve/4 && -e $base/reserve/1 ]] || fill_reserve
  [[ -z $is_full ]] || : >"$base/reserve/full"
  # Nothing is in it, and nobody is left to put anything there.
  [[ -z $THREADBOX_OUTBOX || -n $has_outbox || ${#others[@]} != 0 ]] || rmdir -- "$THREADBOX_OUTBOX" </dev/null >/dev/null
}

# In gVisor processes are limited for each user: a few more are for what looks after commands, so that it can begin and end
# them. See container-options.ts.
keep_processes_back() {
  local most
  [[ -e /proc/sentry-meminfo ]] || return
  most=$(ulimit -u)
  [[ $most != +([0-9]) ]] || ((most <= 64)) || ulimit -u $((most - 64))
}

# The command's own shell; see command.sh. What it needs is in no other process's environment.
command_process() {
  (
    keep_processes_back
    _THREADBOX_RESTORE=$base/executions/$last.state _THREADBOX_SAVE=$spool.state
    exec {quiet}<&-
    export _THREADBOX_COMMAND _THREADBOX_RESTORE _THREADBOX_SAVE _THREADBOX_GIVEN _THREADBOX_SCRIPT $_THREADBOX_SCRIPT ${!_THREADBOX_SECRET@}
    exec bash -c 'eval "$_THREADBOX_COMMAND"; eval "$threadbox_script"; threadbox_end $?' bash
  ) </dev/null >&9 2>&1 8<&- 9>&-
}
