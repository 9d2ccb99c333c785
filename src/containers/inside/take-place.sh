# For what prepares, saves and restores: one at a time in a workspace. What a bot left at work there, when it was killed or
# restarted, ends. The engine gives each process that it starts a session of its own; a `timeout` in it has a group of its
# own, but no session.

# Fields of /proc/PID/stat from the third on (proc(5)): the second may hold blanks and brackets.
read_stat() {
  local line
  read -r line <"/proc/$1/stat" && stat=(${line##*) })
} 2>/dev/null

# Directories, and nothing in their place, that can be worked in: a command may have seen to the contrary.
open_places() {
  local dir
  for dir; do
    [[ -d $dir && ! -L $dir ]] || rm -rf -- "$dir"
    [[ ! -d $dir || -r $dir && -w $dir && -x $dir ]] || chmod u+rwx -- "$dir"
  done
  [[ ! -e $base/gitconfig || -r $base/gitconfig ]] || rm -rf -- "$base/gitconfig"
} 2>/dev/null

# @status 1 when it does not end
take_place() {
  local place=$base/at-work session start name
  local -a stat=()
  # A FIFO would block whoever opens it.
  [[ ! -e $place || -f $place ]] || rm -rf -- "$place"
  if [[ -s $place ]] && read_words "$place" session start name && [[ $session == +([0-9]) ]]; then
    # Where somebody else has its number by now, nothing of it is left.
    if ! read_stat "$session" || [[ ${stat[19]} == "$start" ]]; then
      end_session "$session" || return
      # git may have been in the midst of it.
      [[ $name != save || ! -d $user_git ]] || remove_locks
    fi
  fi
  read_stat "$BASHPID" && session=${stat[3]} && read_stat "$session" || return 0
  printf '%s %s %s\n' "$session" "${stat[19]}" "$1" >"$place"
  trap ': >"$base/at-work"' EXIT
} 2>/dev/null

end_session() {
  local proc tries
  local -a stat=() found=()
  for ((tries = 0; tries < 100; tries++)); do
    found=()
    for proc in /proc/[0-9]*; do
      [[ -O $proc ]] && read_stat "${proc#/proc/}" && [[ ${stat[3]} == "$1" && ${stat[0]} != Z ]] && found+=("${proc#/proc/}")
    done
    ((${#found[@]} > 0)) || return 0
    kill -KILL "${found[@]}"
    # Who waits for the disk ends late.
    sleep 0.05
  done
  return 1
}

# What a killed git left would stop the next one. Of this session's own git processes each only reads the user's
# repository; one that has ended holds nothing, though it may not have been waited for yet.
remove_locks() {
  local proc name own=
  local -a locks stat=()
  shopt -s nullglob globstar
  locks=("$user_git"/*.lock "$user_git"/refs/**/*.lock)
  shopt -u nullglob globstar
  ((${#locks[@]} > 0)) || return 0
  ! read_stat "$BASHPID" || own=${stat[3]}
  for proc in /proc/[0-9]*; do
    [[ -O $proc ]] && read -r name <"$proc/comm" && [[ $name == git || $name == git-* ]] || continue
    ! read_stat "${proc#/proc/}" || [[ ${stat[0]} == Z || ${stat[3]} == "$own" ]] || return 0
  done
  rm -f -- "${locks[@]}"
} 2>/dev/null
