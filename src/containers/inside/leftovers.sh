# What a command has left when it was stopped, or where that is to end with it.

# What the command that reached its time limit left behind: a moment to end by itself, then no more.
end_rest() {
  local tries calm=0
  for ((tries = 0; tries < 10; tries++)); do
    find_others "$own_start" "$BASHPID"
    ((${#others[@]} > 0)) || break
    pause 0.1
  done
  # Whoever is killed may have begun another in the meantime; and who is never seen has it begun all the time.
  for ((tries = 0; tries < 8 && calm < 3; tries++)); do
    if ((${#others[@]} > 0)); then
      kill -KILL "${others[@]}"
      calm=0
    elif is_calm; then
      ((++calm))
    else
      calm=0
    fi
    find_others "$own_start" "$BASHPID"
  done
  ((calm == 3 && ${#others[@]} == 0)) || unended=yes
}

# Who begins another and ends at once is gone before anybody can look at it. But each takes the next number (proc(5),
# loadavg): as many as nobody takes who could be seen. A build or a loop of an earlier command takes as many: that is
# known by who is behind them. Where nobody is to be seen fewer will do, on a busy machine: nobody else is harmed then.
is_calm() {
  local pid before= after= most=25 met explained
  local -a earlier=()
  find_others '' "$BASHPID"
  ((${#others[@]} > 0)) || most=5
  for pid in "${others[@]}"; do ((starts[pid] >= own_start)) || earlier[pid]=yes; done
  find_last_number before
  pause 0.1
  find_last_number after
  [[ $before$after == +([0-9]) ]] && ((after < before || after - before > most)) || return 0
  meet_new
  ((met == 0 && explained > 0))
}

# Sets the variable of that name to the number that was given last. gVisor says 0 there: then one is taken, to see.
find_last_number() {
  local rest number=
  read -r rest rest rest rest number </proc/loadavg
  if [[ $number == 0 ]]; then
    : &
    number=$!
    wait "$number"
  fi
  printf -v "$1" %s "$number"
}

# Looks at who has the last number, again and again: sets how many were met that have lost their parent (those are killed; it
# goes on only if that comes too late), and how many that somebody of `earlier` is behind.
meet_new() {
  local tries last seen rest line parent depth
  met=0 explained=0
  read -r rest rest rest rest seen </proc/loadavg
  for ((tries = 0; tries < 2000; tries++)); do
    read -r rest rest rest rest last </proc/loadavg
    [[ $last != "$seen" ]] || continue
    seen=$last
    read -r line <"/proc/$last/stat" || continue
    # State, parent, process group, session.
    rest=${line##*) } rest=${rest#* } parent=${rest%% *}
    if [[ $parent == 1 ]]; then
      rest=${rest#* } rest=${rest#* }
      # PID 1's own.
      [[ ${rest%% *} != 1 ]] || continue
      kill -KILL "$last" && hidden=$last
      ((++met))
      continue
    fi
    for ((depth = 0; depth < 16; depth++)); do
      [[ -z ${earlier[parent]} ]] || { ((++explained)); break; }
      [[ $parent != [01] && $parent != "$BASHPID" ]] && stat_of "$parent" || break
      parent=${stat[1]}
    done
  done
}

# What it left in the background, where that is to end with it: asked, then made to. Who is never seen takes numbers: a glance
# must do for that, as each command waits for it.
end_background() {
  local before= after= hidden= times
  read -r _ _ _ _ before </proc/loadavg
  find_others "$own_start" "$BASHPID"
  dropped=("${others[@]}") dropped_named=("${named[@]}")
  if ((${#others[@]} > 0)); then
    kill -TERM "${others[@]}"
  else
    for times in 1 2; do
      pause 0.002
      read -r _ _ _ _ after </proc/loadavg
      [[ $before != "$after" ]] || return
      before=$after
    done
  fi
  end_rest
  [[ -z $hidden || -n $unended ]] || ((${#dropped[@]} > 0)) || {
    dropped=("$hidden")
    dropped_named=("$hidden a process that kept beginning another")
  }
}
