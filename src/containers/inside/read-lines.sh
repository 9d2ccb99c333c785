# What `read` does, for a file that a command may have put there: a NUL, or so many characters, are its end. From one of
# 3 TB without a line in it bash would not come back.

# The first lines of a file into variables. @status 1 when there are fewer
read_lines() {
  local _text= _name
  [[ ! -f $1 ]] || IFS= read -r -d '' -n 65536 _text <"$1"
  for _name in "${@:2}"; do
    printf -v "$_name" %s "${_text%%$'\n'*}"
    [[ -n $_text ]] || return 1
    [[ $_text == *$'\n'* ]] && _text=${_text#*$'\n'} || _text=
  done
} 2>/dev/null

# The words of its first line into variables, as `read` does it. @status 1 when there are none
read_words() {
  local _text= _name
  [[ ! -f $1 ]] || IFS= read -r -d '' -n 4096 _text <"$1"
  _text=${_text%%$'\n'*}
  for _name in "${@:2:$#-2}"; do
    _text=${_text#"${_text%%[! ]*}"}
    printf -v "$_name" %s "${_text%% *}"
    [[ $_text == *' '* ]] && _text=${_text#* } || _text=
  done
  printf -v "${@: -1}" %s "$_text"
  [[ -n ${!2} ]]
} 2>/dev/null
