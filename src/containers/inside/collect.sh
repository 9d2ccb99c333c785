# What became of an execution. Waits for one that runs; makes sure that one that never started never will.
trap : TERM

if [[ ! -e $spool.claim ]]; then
  word=unknown
  # Without `ready` the claims may have been lost with it.
  if [[ $_THREADBOX_MAY_CLAIM == yes && -f $base/ready ]] && claim; then
    # Whoever asks a second time, after a crash in between, shall hear the same.
    printf 'never\n' >"$spool.claim"
    word=never-started
  fi
  if [[ $word == never-started || ! -e $spool.claim ]]; then
    printf 'threadbox 1\n%s\n\0\0end\n\0threadbox-end\0' "$word"
    exit
  fi
fi
# Between the claim and its content there is a moment.
for ((tries = 0; tries < 10; tries++)); do
  [[ -s $spool.claim ]] && break
  pause 0.1
done
[[ ! -f $spool.claim ]] || read -r wrapper rest <"$spool.claim"
if [[ $wrapper == never ]]; then
  printf 'threadbox 1\nnever-started\n\0\0end\n\0threadbox-end\0'
  exit
fi
while ! is_finished && is_alive; do pause 0.2; done
if is_finished; then
  find_gap
else
  status= started= ended= lost=
  if [[ -f $spool.exit && -s $spool.exit ]]; then
    read -r status started ended <"$spool.exit"
  else
    # It was killed: the last sign of life is the best guess.
    [[ ! -f $spool.claim ]] || read -r rest rest started <"$spool.claim"
    ended=$(stat -c %.Y "$spool.out")
  fi
  find_changes
  record_facts "$status" "$ended"
fi
show
