# The part of a save that is the user's own git: what it counts as changed, and the commit of the guide.

their_git() {
  timeout -k 2 "$1" git -C "$target" -c core.hooksPath=/dev/null -c core.fsmonitor=false -c gc.auto=0 \
    -c maintenance.auto=false "${@:2}"
}

# Asks git only where a setting may say so.
find_user_ignore() {
  local file text
  user_ignore=
  for file in "$user_git"/config{,.worktree} "$HOME"/.{gitconfig,config/git/config} "$base/gitconfig" /etc/gitconfig; do
    [[ -f $file ]] && ! IFS= read -r -d '' text <"$file" || continue
    [[ ${text,,} == *excludesfile* || ${text,,} == *include* ]] || continue
    user_ignore=$(their_git 5 config --type=path --get core.excludesFile)
    return
  done
}

# Where a pipe, say, stands in the place of the index, git would wait for somebody to write to it.
is_blocked() { [[ -e $user_git/index && ! -f $user_git/index ]]; }

# For a quick save that is told by the snapshot, too, and nobody has asked git. So it is where a filter of the
# repository's hangs.
start_count() {
  ! is_blocked || return
  [[ $kind != quick && ($has_git == yes || $carries_git == yes) ]] || return
  exec {count}< <(their_git 20 --no-optional-locks -c core.quotePath=true status --porcelain --untracked-files=all 2>/dev/null &&
    printf end)
}
# Sets modified, empty where that is not known, and unmerged.
count_modified() {
  local lines
  modified= unmerged=
  [[ -n $count ]] || return
  lines=$(<"/dev/fd/$count")
  exec {count}<&-
  [[ $lines == *end ]] || return
  lines=${lines%end}
  modified=${lines//[!$'\n']/} unmerged=no
  modified=${#modified}
  [[ ! $'\n'$lines =~ $'\n'(DD|AU|UD|UA|DU|AA|UU)' ' ]] || unmerged=yes
}

is_in_progress() {
  local file
  for file in MERGE_HEAD CHERRY_PICK_HEAD REVERT_HEAD BISECT_LOG BISECT_START rebase-merge rebase-apply sequencer; do
    [[ ! -e $user_git/$file ]] || return 0
  done
  [[ $unmerged == yes || -z $unmerged && -n $(their_git 20 ls-files -u 2>/dev/null) ]]
}

# The commit of the guide. What it cannot hold is saved beside it all the same.
commit_work() {
  local -a specs=(:/) at_once=("${AT_ONCE[@]}")
  local item said tries
  ! is_blocked || { leave_out 'the Auto-save commit; the work is saved without it (.git/index is no file)' && return; }
  if [[ $modified == 0 ]]; then
    find_commit_before
    return
  fi
  ! is_in_progress || return
  remove_locks
  # An empty repository inside would stop all of it.
  for item in "${inner[@]}"; do
    timeout 5 git -C "$target/$item" rev-parse --verify -q HEAD &>/dev/null || specs+=(":(top,exclude,literal)$item")
  done
  for item in "${skipped[@]}"; do specs+=(":(top,exclude,literal)$item"); done
  # A filter that fails ends it at the first file. That one is left as it is then.
  for ((tries = 0; tries < 20; tries++)); do
    said=$(printf '%s\0' "${specs[@]}" | their_git 60 "${at_once[@]}" -c advice.addEmbeddedRepo=false -c core.safecrlf=false \
      add -A --sparse --ignore-errors --pathspec-from-file=- --pathspec-file-nul 2>&1) && break
    ((${#at_once[@]} == 0)) || { at_once=() && continue; }
    said=${said:-no end after 60 s}
    leave_out "from the Auto-save commit, not from the save: what git could not add (${said##*$'\n'})"
    [[ $said =~ fatal:\ ([^$'\n']+):\ clean\ filter\ .*\ failed ]] || break
    specs+=(":(top,exclude,literal)${BASH_REMATCH[1]}")
  done
  # The snapshot needs the files alone. What the commit is made of need not be made again.
  lends=yes
  start_snapshot
  [[ -n $modified ]] || count_staged
  make_commit && return
  # With nothing to commit it fails, too.
  their_git 20 diff-index --cached --quiet --ignore-submodules=none HEAD -- 2>/dev/null && return
  # Nobody is the author.
  [[ ! ${said,,} =~ ident|'tell me who' ]] || make_commit -c "user.name=$(git config -f "$base/gitconfig" user.name || echo Threadbox)" \
    -c "user.email=$(git config -f "$base/gitconfig" user.email || echo threadbox@localhost)" && return
  leave_out "the Auto-save commit; the work is saved without it (${said%%$'\n'*})"
}
# The commit was made by a try before, of which nothing was saved: what it has says how much that was.
find_commit_before() {
  local tip text known_tip=
  tip=$(their_git 5 rev-parse -q --verify HEAD) || return 0
  [[ -z $last ]] || known_tip=$(own git cat-file blob "$last:meta" 2>/dev/null)
  [[ $known_tip != *$'\n'"head $tip"$'\n'* ]] || return 0
  text=$(own git cat-file commit "$tip" 2>/dev/null)
  [[ $text == *$'\n\nAuto-save: Container cleanup after idle timeout\n\n'"Thread: $thread"$'\n'* ]] || return 0
  [[ $text =~ $'\n'Files\ modified:\ ([0-9]{1,9})$'\n' ]] && modified=${BASH_REMATCH[1]} committed=yes
} 2>/dev/null
# Where `git status` has not come to its end.
count_staged() {
  local from=HEAD names
  their_git 5 rev-parse -q --verify HEAD >/dev/null 2>&1 || from=$(their_git 5 hash-object -t tree /dev/null)
  names=$(their_git 20 -c core.quotePath=true diff-index --cached --name-only "$from" -- 2>/dev/null && printf end)
  [[ $names == *end ]] || return
  names=${names//[!$'\n']/}
  modified=${#names}
}
make_commit() {
  said=$(printf '%s\n' 'Auto-save: Container cleanup after idle timeout' '' "Thread: $thread" "Timestamp: $timestamp" \
    "Files modified: $modified" '' 'This commit was automatically created when the container was cleaned up.' |
    their_git 120 "$@" commit --quiet --no-verify --no-gpg-sign --cleanup=verbatim --no-status --file=- 2>&1) && committed=yes
}
