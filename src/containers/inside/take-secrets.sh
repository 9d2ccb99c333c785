# What is not to be in the environment of the engine's process comes by standard input, as a runner takes it.
IFS= read -r length && [[ $length == +([0-9]) ]] && LC_ALL=C IFS= read -r -N "$length" request || exit
eval "$request"
unset -v request length
exec </dev/null
