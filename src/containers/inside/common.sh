# Shared by the scripts that run inside a container, as the user of the commands: bash, coreutils and git, no more.
#
# What lies under $base belongs to the same user as the commands, so nothing here can be trusted by the bot. It only
# has to be right as long as a command does not break it on purpose; then it fools nobody but its own thread.
#
#   ready              the workspace is prepared
#   executions/ID.*    claim   made once (O_EXCL): who made it runs the command. "pid starttime clock" of the wrapper
#                      out     the first part of the output; ring0, ring1 the last; ring "turn base" where it stands
#                      exit    "status time" as soon as the command has ended; stop: its time limit has passed
#                      numstat what changed, as git prints it with -z; facts: the end, complete by its last line
#                      state   exported environment and directory at the end of the command
#   last               the ID whose state the next command begins with
#   index, tree, objects   the snapshot of the workspace after the last command, apart from the user's own
exec 2>/dev/null
base=/workspace/.threadbox
id=$_THREADBOX_ID repository=$_THREADBOX_REPOSITORY
spool=$base/executions/$id
head_bytes=$((64 << 20)) ring_bytes=$((8 << 20)) block=65536
git_seconds=10
unset -v _THREADBOX_RUN _THREADBOX_ID _THREADBOX_REPOSITORY

# Fields of /proc/PID/stat from the third on (proc(5)): the second may hold blanks and brackets.
stat_of() {
  local line
  stat=()
  read -r line <"/proc/$1/stat" || return 1
  read -ra stat <<<"${line##*) }"
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
  set -C
  : >"$spool.claim"
  local status=$?
  set +C
  return $status
}

# True while the wrapper of this execution lives: its pid, and not a later process with the same one.
is_alive() {
  local pid start rest
  [[ -f $spool.claim ]] || return 1
  read -r pid start rest <"$spool.claim" || return 1
  stat_of "$pid" && [[ ${stat[0]} != Z && ${stat[19]} == "$start" ]]
}

# True once everything about the execution has been written down.
is_finished() {
  local line
  [[ -f $spool.facts ]] || return 1
  while IFS= read -r line; do [[ $line == numstat ]] && return 0; done <"$spool.facts"
  return 1
}

pause() { sleep "$1" </dev/null >/dev/null; }

# A value for one line of the facts.
one_line() {
  value=${1:0:4000}
  value=${value//[$'\n\r']/ }
}

# Processes of the user beside ourselves and the pumps of this and earlier executions: all, or those started since.
find_others() {
  local since=$1 proc words
  others=()
  for proc in /proc/[0-9]*; do
    [[ -O $proc && $proc != "/proc/$$" ]] || continue
    words=()
    mapfile -d '' -t words <"$proc/cmdline"
    [[ ${#words[@]} != 0 && ${words[0]} != threadbox-* && ${words[2]} != 'eval "$_THREADBOX_RUN"' ]] || continue
    [[ -z $since ]] || { stat_of "${proc#/proc/}" && ((stat[19] >= since)); } || continue
    others+=("${proc#/proc/}")
  done
}

changes_failed() {
  one_line "$1"
  changes="partial $value"
}

# Snapshots the work tree by an index and an object store of our own and compares it with the snapshot before.
# HEAD, index and objects of the user stay as they are. Sets `changes`, writes the files to $spool.numstat.
find_changes() {
  local -x GIT_INDEX_FILE=$base/index GIT_OBJECT_DIRECTORY=$base/objects LC_ALL=C
  local -x GIT_ALTERNATE_OBJECT_DIRECTORIES=/workspace/$repository/.git/objects
  local -a git=(git -c core.hooksPath=/dev/null -c core.fsmonitor=false -c core.splitIndex=false -c gc.auto=0)
  local which=-A message status old new
  changes=complete
  plain "$base"/{gitconfig,index,index.lock,tracked-only,tree} "$spool".{numstat,git}
  cd "/workspace/$repository" || { changes_failed 'the repository is not there'; return; }
  [[ -d .git ]] || { changes_failed 'there is no git repository'; return; }
  [[ ! -e $base/index.lock ]] || rm -f "$base/index.lock"
  [[ ! -e $base/tracked-only ]] || which=-u
  message=$(timeout -k 2 $git_seconds "${git[@]}" add $which --ignore-errors -- . 2>&1 >/dev/null)
  status=$?
  if ((status == 124 || status == 137)) && [[ $which == -A ]]; then
    # So that not every later command waits as long again.
    : >"$base/tracked-only"
    rm -f "$base"/index.lock "$base"/objects/tmp_obj_* "$base"/objects/*/tmp_obj_* "$base"/objects/pack/tmp_*
    which=-u
    timeout -k 2 $git_seconds "${git[@]}" add -u --ignore-errors -- . >/dev/null
  elif ((status != 0)); then
    changes_failed "${message%%$'\n'*}"
  fi
  [[ $which == -A ]] || changes_failed 'new files are left out: there is too much of them to look through'
  read -r old <"$base/tree"
  # Untouched by git add: nothing has changed.
  [[ -n $old && ! $base/index -nt $base/tree ]] && return
  new=$(timeout -k 2 $git_seconds "${git[@]}" write-tree 2>"$spool.git") || { changes_failed "git write-tree: $(<"$spool.git")"; return; }
  if [[ -z $old ]]; then
    changes_failed 'there was no snapshot to compare with'
  elif [[ $old != "$new" ]]; then
    timeout -k 2 $git_seconds "${git[@]}" diff-tree -r -M --no-ext-diff --no-textconv --numstat -z "$old" "$new" \
      >"$spool.numstat" 2>"$spool.git" || changes_failed "git diff-tree: $(<"$spool.git")"
  fi
  printf '%s\n' "$new" >"$base/tree"
}

find_branch() {
  local head
  branch=
  [[ -f /workspace/$repository/.git/HEAD ]] || return
  IFS= read -r head <"/workspace/$repository/.git/HEAD"
  [[ $head == 'ref: refs/heads/'* ]] && branch=${head#ref: refs/heads/}
}

# How much of the output lies in no file, and after how much of it: known when the ring was begun.
find_gap() {
  local turn base_bytes sizes
  gap='0 0'
  ring=()
  plain "$spool".{ring,ring0,ring1}
  [[ -f $spool.ring ]] || return
  read -r turn base_bytes <"$spool.ring" || return
  ring=("$spool.ring$((turn % 2))")
  ((turn == 0)) || ring=("$spool.ring$(((turn - 1) % 2))" "${ring[@]}")
  sizes=($(stat -c %s "$spool.out" "${ring[@]}"))
  ((turn == 0)) && sizes[1]=0
  gap="${sizes[0]} $((base_bytes - sizes[0] - sizes[1]))"
}

# Writes the facts down. What a full disk does not take is still in $facts.
record_facts() {
  local exit_status=$1 ended=$2
  find_branch
  one_line "$branch"
  find_others
  facts="threadbox 1"$'\n'"background ${#others[@]}"$'\n'"branch $value"$'\n'"changes $changes"$'\n'
  [[ -z $exit_status ]] || facts+="exit $exit_status"$'\n'
  [[ -z $started || -z $ended ]] || facts+="time $started $ended"$'\n'
  [[ ! -e $spool.stop ]] || facts+=$'stopped\n'
  [[ -z $lost ]] || facts+=$'lost\n'
  plain "$spool.facts"
  find_gap
  facts+="gap $gap"$'\n'$'numstat\n'
  printf %s "$facts" >"$spool.facts"
}

# The facts, what changed, the output, and a trailer that shows that nothing was cut off.
show() {
  local -a files=()
  plain "$spool".{facts,numstat,end,out}
  [[ ! -s $spool.numstat ]] || files=("$spool.numstat")
  printf '\0\0end\n' >"$spool.end"
  if is_finished && [[ -s $spool.end ]]; then
    # One process for the usual case.
    files=("$spool.facts" "${files[@]}" "$spool.end")
    [[ ! -s $spool.out ]] || files+=("$spool.out")
    cat -- "${files[@]}" "${ring[@]}"
  else
    printf '%s\0\0end\n' "$facts"
    [[ ! -s $spool.out ]] || cat -- "$spool.out" "${ring[@]}"
  fi
  printf '\0threadbox-end\0'
}
