# A part of the reserve goes: a file, and its blocks. False when there is none.
give_up_reserve() {
  local part
  for part in "$base"/reserve/[1-4]; do
    [[ -e $part ]] && rm -rf -- "$part" </dev/null >/dev/null && return
  done
  return 1
}

# Where it was given up, or never was. Whoever has no room for it is not told so: it is tried again after the next command.
fill_reserve() {
  local part
  [[ -d $base/reserve ]] || mkdir "$base/reserve" </dev/null >/dev/null || return
  for part in "$base"/reserve/{1..4}; do
    [[ ! -e $part ]] || continue
    printf '%262144s' '' >"$part" || { rm -f -- "$part" </dev/null >/dev/null && return; }
  done
}
