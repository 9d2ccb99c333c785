# What comes before a command in its own shell: directory and exported environment of the command before it. What the
# bot gives to this command (_THREADBOX_GIVEN) goes before what was exported earlier, and is not kept.
threadbox_end() {
  { set +x; } 2>/dev/null
  trap - DEBUG ERR
  threadbox_save
  threadbox_state=
  exit "$1"
}
threadbox_save() {
  { set +xe; } 2>/dev/null
  [[ -n $threadbox_state ]] || return
  # Hidden here, not unset: a trap of the command may still want them.
  ((${#threadbox_given[@]} == 0)) || local +x "${threadbox_given[@]}"
  { export -p; printf 'cd -- %q\n' "$PWD"; } >"$threadbox_state" 2>/dev/null
}
threadbox_state=$_THREADBOX_SAVE threadbox_restore=$_THREADBOX_RESTORE threadbox_given=($_THREADBOX_GIVEN)
threadbox_script=
for threadbox_name in $_THREADBOX_SCRIPT; do
  threadbox_script+=${!threadbox_name}
  unset -v "$threadbox_name"
done
unset -v _THREADBOX_COMMAND _THREADBOX_SAVE _THREADBOX_RESTORE _THREADBOX_GIVEN _THREADBOX_SCRIPT
declare -A threadbox_values=()
for threadbox_name in "${threadbox_given[@]}"; do threadbox_values[$threadbox_name]=${!threadbox_name}; done
[[ ! -f $threadbox_restore ]] || . "$threadbox_restore" 2>/dev/null
for threadbox_name in "${threadbox_given[@]}"; do export "$threadbox_name=${threadbox_values[$threadbox_name]}"; done
unset -v threadbox_name threadbox_values threadbox_restore
trap threadbox_save EXIT
