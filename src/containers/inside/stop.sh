# Asks a command to end: TERM to every process begun since it began, in whatever session. The wrapper and the pump
# do not mind it.
take_execution
# Its command has broken the claim: nothing tells any more what to ask.
[[ -f $spool.claim ]] || { printf broken; exit; }
if [[ -e $spool.exit ]] || ! is_alive; then
  printf ended
  exit
fi
plain "$spool.stop"
: >"$spool.stop"
read -r wrapper since rest <"$spool.claim"
find_others "$since"
for pid in "${others[@]}"; do kill -TERM "$pid"; done
printf stopping
