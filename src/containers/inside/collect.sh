# What became of an execution. Waits for one that runs; makes sure that one that never started never will.
collect() {
  local tries wrapper rest
  trap : TERM
  if [[ ! -e $spool.claim ]]; then
    # Without `ready` the claims may have been lost with it.
    if [[ $_THREADBOX_MAY_CLAIM == yes && -f $base/ready ]] && claim; then
      # Whoever asks a second time, after a crash in between, shall hear the same.
      printf 'never\n' >"$spool.claim"
      say never-started
      return
    fi
    [[ -e $spool.claim ]] || { say unknown; return; }
  fi
  # Between the claim and its content there is a moment.
  for ((tries = 0; tries < 10; tries++)); do
    [[ -s $spool.claim ]] && break
    pause 0.1
  done
  read_words "$spool.claim" wrapper rest
  if [[ $wrapper == never ]]; then
    say never-started
    return
  fi
  while ! is_finished && is_alive; do pause 0.2; done
  if is_finished; then
    find_gap
  else
    record_rest
  fi
  show
}

# What the wrapper did not come to.
record_rest() {
  local rest oom_kills refused oom_before refused_before shortages
  status= started= ended= lost= unended=
  read_words "$spool.claim" rest rest started oom_before refused_before
  if [[ -f $spool.exit && -s $spool.exit ]]; then
    read_words "$spool.exit" status started ended
  else
    # It was killed: the last sign of life is the best guess.
    ended=$(stat -c %.Y "$spool.out")
  fi
  count_shortages
  find_shortages "$oom_before" "$refused_before" "$status"
  find_changes
  record_facts "$status" "$ended"
}

# For a command that was given to a runner which was lost: whoever has the claim runs it. Here, if it is still to be had.
run_or_collect() {
  if [[ -f $base/ready ]] && claim; then run_claimed; else collect; fi
}
