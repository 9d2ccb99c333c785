# What a command changed in its repository, and whether all of it was saved.
changes_failed() {
  one_line "$1"
  changes="partial $value"
}

# Runs git on a snapshot of our own, for no longer than $git_seconds; `timeout` would be a process more. Standard output
# goes to the given file, what git has to say to `message`. @status 124 when it had to be killed
limited_git() {
  local output=$1 fd pid status pids
  shift
  : >"$base/git"
  exec {fd}< <(exec "${git[@]}" "$@" 3>&1 >"$output" 2>"$base/git")
  pid=$!
  # Nobody writes there: it ends when git has ended.
  IFS= read -r -t $git_seconds -u $fd message
  if (($? > 128)); then
    find_tree "$pid"
    kill -TERM "${pids[@]}"
    IFS= read -r -t 2 -u $fd message || (($? <= 128)) || kill -KILL "${pids[@]}"
    status=124
  else
    wait "$pid"
    status=$?
  fi
  exec {fd}<&-
  message=
  [[ ! -s $base/git ]] || message=$(<"$base/git")
  return $status
}

# A process with all that came from it: a filter of the repository may be what hangs.
find_tree() {
  local proc index
  pids=("$1")
  for ((index = 0; index < ${#pids[@]}; index++)); do
    for proc in /proc/[0-9]*; do
      [[ -O $proc ]] && stat_of "${proc#/proc/}" && [[ ${stat[1]} == "${pids[index]}" ]] && pids+=("${proc#/proc/}")
    done
  done
}

# Snapshots the work tree by an index and an object store of our own and compares it with the snapshot before.
# HEAD, index and objects of the user stay as they are. Sets `changes`, writes the files to $spool.numstat.
find_changes() {
  local -x GIT_INDEX_FILE=$base/index GIT_OBJECT_DIRECTORY=$base/objects LC_ALL=C
  local -x GIT_ALTERNATE_OBJECT_DIRECTORIES=/workspace/$repository/.git/objects
  local -a git=(git -c core.hooksPath=/dev/null -c core.fsmonitor=false -c core.splitIndex=false -c gc.auto=0)
  local which=-A message status old new
  changes=complete
  plain "$base"/{gitconfig,index,index.lock,tracked-only,tree,git,inner} "$base/tree.new" "$spool.numstat"
  cd "/workspace/$repository" || { changes_failed 'the repository is not there'; return; }
  [[ -d .git ]] || { changes_failed 'there is no git repository'; return; }
  [[ ! -e $base/index.lock ]] || rm -f "$base/index.lock"
  [[ ! -e $base/tracked-only ]] || which=-u
  # Files as young as the index would all be made objects of again: the mirror has them.
  if [[ -e $base/fresh ]]; then
    limited_git /dev/null update-index -q --refresh --force-write-index
    rm -f "$base"/fresh "$base"/index.lock
  fi
  limited_git /dev/null add $which --ignore-errors -- .
  status=$?
  [[ $message != *'embedded git repository'* ]] || : >"$base/inner"
  if ((status == 124)) && [[ $which == -A ]]; then
    # So that not every later command waits as long again.
    : >"$base/tracked-only"
    rm -f "$base"/index.lock "$base"/objects/tmp_obj_* "$base"/objects/*/tmp_obj_* "$base"/objects/pack/tmp_*
    which=-u
    limited_git /dev/null add -u --ignore-errors -- .
  elif ((status != 0)); then
    changes_failed "${message%%$'\n'*}"
  fi
  [[ $which == -A ]] || changes_failed 'new files are left out: there is too much of them to look through'
  read_words "$base/tree" old
  # Untouched by git add: nothing has changed.
  [[ -n $old && ! $base/index -nt $base/tree ]] && return
  limited_git "$base/tree.new" write-tree && read_words "$base/tree.new" new || { changes_failed "git write-tree: $message"; return; }
  if [[ -z $old ]]; then
    changes_failed 'there was no snapshot to compare with'
  elif [[ $old != "$new" ]]; then
    limited_git "$spool.numstat" diff-tree -r -M --no-ext-diff --no-textconv --numstat -z "$old" "$new" ||
      changes_failed "git diff-tree: $message"
  fi
  printf '%s\n' "$new" >"$base/tree"
}

# True when all that find_changes has seen is in the last save, and nothing of the repository's own state is newer: it
# may be what HEAD, a branch, a tag, the stash or a merge in progress have to do with, or a .env file, which git ignores.
is_saved() {
  local is_present=yes tree saved index file
  stays_present || is_present=
  [[ $changes == complete && -n $is_present && -f $base/saved && -f $base/tree ]] || return
  # What is in repositories inside, or in linked work trees, is in no snapshot.
  [[ ! -e $base/inner && ! -d .git/modules && ! -d .git/worktrees ]] || return
  read_lines "$base/saved" saved index
  read_words "$base/tree" tree
  [[ -n $tree && $tree == "$saved" ]] || return
  for file in .env* .git/{HEAD,packed-refs,shallow,ORIG_HEAD,MERGE_{HEAD,MSG,MODE},{CHERRY_PICK,REVERT}_HEAD,AUTO_MERGE} \
    .git/{config,config.worktree,description,hooks{,/*},info{,/*},logs/HEAD,logs/refs/stash,BISECT_{LOG,START}} \
    .git/{rebase-merge,rebase-apply,sequencer}{,/*}; do
    [[ ! $file -nt $base/saved ]] || return
  done
  no_newer_refs .git/refs || return
  # `git status` writes the index too.
  { [[ ! .git/index -nt $base/saved ]] || is_same_index "$index"; } && no_newer_besides
}

# Nothing of what a save has and git knows nothing of is newer, however deep it lies: .env files, which git ignores mostly,
# empty directories, and modes that say more than executable. As in a save, those in a directory that git ignores do not
# count. Of .env files it is told besides when they are gone.
no_newer_besides() {
  local -a known=() prune=()
  local item fd status
  plain "$base/looked"
  # More than there ever are says that it is none of ours.
  [[ ! -f $base/looked ]] || mapfile -d '' -n 10000 -t known <"$base/looked"
  ((${#known[@]} < 10000)) || return
  for item in "${known[@]}"; do
    case $item in
      e*) [[ -e ${item#e} || -L ${item#e} ]] || return ;;
      i*) prune+=(-path "./${item#i}" -prune -o) ;;
    esac
  done
  exec {fd}< <(exec find . -path ./.git -prune -o -name node_modules -prune -o "${prune[@]}" \
    \( -name '.env*' ! -type d -o -type d \( -empty -o ! -perm 755 \) -o -type f ! -perm 644 ! -perm 755 \) \
    -cnewer "$base/saved" -print0 -quit 2>/dev/null)
  IFS= read -r -d '' -t 2 -u $fd item
  status=$?
  # A save looks through all of it, and can take its time.
  ((status <= 128)) || kill -KILL $!
  exec {fd}<&-
  ((status == 1))
}

# Not remote-tracking ones: what they name was fetched, and can be again.
no_newer_refs() {
  local dir
  [[ ! $1 -nt $base/saved ]] || return
  for dir in "$1"/*/; do
    [[ $dir == .git/refs/remotes/ || ! -d $dir ]] || no_newer_refs "${dir%/}" || return
  done
}

is_same_index() {
  local -x GIT_OBJECT_DIRECTORY=$base/objects GIT_ALTERNATE_OBJECT_DIRECTORIES=/workspace/$repository/.git/objects
  local -a git=(git -c core.hooksPath=/dev/null -c core.fsmonitor=false)
  local message
  [[ -n $1 ]] && limited_git /dev/null diff-index --cached --ita-visible-in-index --quiet "$1" --
}

# A file that is gone has no time: remembers which there were when all was saved.
stays_present() {
  local now=. file saved last
  for file in .env* .git/{{MERGE,CHERRY_PICK,REVERT}_HEAD,BISECT_LOG,rebase-merge,rebase-apply,sequencer,logs/refs/stash}; do
    [[ ! -e $file ]] || now+="/${file//[$'\n\/']/_}"
  done
  plain "$base/present"
  if [[ -f $base/present ]]; then
    read_lines "$base/present" saved last
    # Saved since then: as the last command had left it.
    [[ ! $base/saved -nt $base/present ]] || saved=$last
  else
    saved=$now
  fi
  printf '%s\n%s\n' "$saved" "$now" >"$base/present"
  [[ $now == "$saved" ]]
}
