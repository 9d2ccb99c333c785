# Asks a command to end: a signal to every process begun since it began, in whatever session. The wrapper and the pump
# do not mind TERM, and are spared KILL.
signal=$_THREADBOX_SIGNAL why=$_THREADBOX_WHY
unset -v _THREADBOX_SIGNAL _THREADBOX_WHY
take_execution
# It has not begun, or its command has broken the claim: nothing tells what to ask.
[[ -f $spool.claim && -s $spool.claim ]] || { printf broken; exit; }
if [[ -e $spool.exit ]] || ! is_alive; then
  printf ended
  exit
fi
if [[ ! -f $spool.stop ]]; then
  plain "$spool.stop"
  printf '%s\n' "$why" >"$spool.stop"
fi
read_words "$spool.claim" wrapper since rest
# Whoever is killed may have begun another in the meantime.
for ((tries = 0; tries < 3; tries++)); do
  find_others "$since" "$wrapper"
  ((${#others[@]} > 0)) || break
  for pid in "${others[@]}"; do kill -"$signal" "$pid"; done
  [[ $signal == KILL ]] || break
done
printf stopping
