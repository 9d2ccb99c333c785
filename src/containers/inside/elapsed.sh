# For how long an execution has been running, in hundredths of a second, by the clock that nobody sets: that of the
# kernel, since the machine started. Nothing where it does not run.
take_execution
is_alive || exit
read_words "$spool.claim" wrapper since rest
read -r uptime rest </proc/uptime
uptime=${uptime/./}
printf %s "$((10#$uptime - since))"
