# Asks a command to end: a signal to every process begun since it began, in whatever session. The wrapper and the pump
# do not mind TERM, and are spared KILL.
signal=$_THREADBOX_SIGNAL why=$_THREADBOX_WHY
unset -v _THREADBOX_SIGNAL _THREADBOX_WHY
take_execution
# It has not begun, or its command has broken the claim: nothing tells what to ask.
[[ -f $spool.claim && -s $spool.claim ]] || { printf broken; exit; }
# Nobody is there to see to its end, but for who asks what became of it; or its command has put another into the claim.
is_alive || { printf gone; exit; }
read_words "$spool.claim" wrapper since rest

# Its own shell has ended: the wrapper has closed what that wrote to. The file alone says nothing, a command can make it.
is_over() {
  local -A known=()
  local -a words
  [[ -e $spool.exit && -e /proc/$wrapper/fd/1 && ! -e /proc/$wrapper/fd/9 ]] || return
  stat_of "$wrapper" && ((stat[1] == 1)) || is_ours "$wrapper"
}
if is_over; then
  printf ended
  exit
fi
if [[ ! -f $spool.stop ]]; then
  plain "$spool.stop"
  printf '%s\n' "$why" >"$spool.stop"
fi
# Whoever is killed may have begun another in the meantime.
for ((tries = 0; tries < 3; tries++)); do
  find_others "$since" "$wrapper"
  ((${#others[@]} > 0)) || break
  for pid in "${others[@]}"; do kill -"$signal" "$pid"; done
  [[ $signal == KILL ]] || break
done
printf stopping
