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
  ((${#threadbox_given[@]} == 0)) || local +x "${threadbox_given[@]}" || export -n "${threadbox_given[@]}"
  ((${#threadbox_secrets[@]} == 0)) || threadbox_hide
  { export -p; printf 'cd -- %q\n' "$PWD"; } 2>/dev/null >"$threadbox_state"
}
# Nor is what a command has made of a secret and exported: the file is not for secrets.
threadbox_hide() {
  local threadbox_name threadbox_secret
  while read -r threadbox_name; do
    for threadbox_secret in "${threadbox_secrets[@]}"; do
      [[ ${#threadbox_secret} -lt 6 || ${!threadbox_name-} != *"$threadbox_secret"* ]] || export -n "$threadbox_name"
    done
  done < <(compgen -e)
}
threadbox_state=$_THREADBOX_SAVE threadbox_restore=$_THREADBOX_RESTORE threadbox_given=($_THREADBOX_GIVEN)
threadbox_script=
for threadbox_name in $_THREADBOX_SCRIPT; do
  threadbox_script+=${!threadbox_name}
  unset -v "$threadbox_name"
done
unset -v _THREADBOX_COMMAND _THREADBOX_SAVE _THREADBOX_RESTORE _THREADBOX_GIVEN _THREADBOX_SCRIPT
threadbox_secrets=()
for threadbox_name in $_THREADBOX_SECRETS; do
  threadbox_secret=_THREADBOX_SECRET_$threadbox_name
  threadbox_secrets+=("${!threadbox_secret}")
  threadbox_given+=("$threadbox_name")
  export "$threadbox_name=${!threadbox_secret}"
  unset -v "$threadbox_secret"
done
unset -v _THREADBOX_SECRETS threadbox_secret
declare -A threadbox_values=()
for threadbox_name in "${threadbox_given[@]}"; do threadbox_values[$threadbox_name]=${!threadbox_name}; done
[[ ! -f $threadbox_restore ]] || . "$threadbox_restore" 2>/dev/null
for threadbox_name in "${threadbox_given[@]}"; do export "$threadbox_name=${threadbox_values[$threadbox_name]}"; done
unset -v threadbox_name threadbox_values threadbox_restore
trap threadbox_save EXIT
