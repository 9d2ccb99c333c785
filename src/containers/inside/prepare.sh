# Makes the workspace of a thread: directories, git's settings, the clone. What is there already stays as it is.
# Says on standard output: not-ours when /workspace belongs to somebody else; empty, or missing where a command had taken
# the repository away, when a saved state is to be put there. Faults are said on standard error.
umask 022
base=/workspace/.threadbox
target=/workspace/$_THREADBOX_REPOSITORY
user_git=$target/.git
part=$base/clone.part
fail() {
  printf '%s\n' "$1" >&2
  exit 1
}

# By the names that a save has of it.
list_beside() {
  local item
  shopt -s dotglob nullglob
  for item in /workspace/* /workspace/.home/*; do
    case $item in
      "$target" | "$base" | /workspace/.home | /workspace/lost+found | /workspace/.inbox | /workspace/.outbox) ;;
      *) printf '%s\0' "${item#/workspace/}" ;;
    esac
  done
  shopt -u dotglob nullglob
}

[[ -O /workspace ]] || { printf not-ours; exit; }
open_places /workspace "$base" "$base"/{executions,objects}
[[ -d $HOME ]] || rm -rf -- "$HOME"
mkdir -p "$base/executions" "$base/objects" "$HOME" || fail 'no room for the workspace'
[[ -O $base/executions && -O $base/objects && -O $HOME ]] || { printf not-ours; exit; }
take_place prepare || fail 'what was at work in the workspace does not end'
# A FIFO in the place of a file would block whoever opens it.
for file in "$base"/{gitconfig,gitconfig.new,log,tree,index,ready,restoring,restoring.new}; do
  [[ ! -e $file || -f $file ]] || rm -rf -- "$file"
done
# A command may be running here, and git under it.
if [[ $_THREADBOX_GIT_CONFIG != "$(cat "$base/gitconfig" 2>/dev/null)" ]]; then
  printf '%s\n' "$_THREADBOX_GIT_CONFIG" >"$base/gitconfig.new" && mv "$base/gitconfig.new" "$base/gitconfig" ||
    fail 'no room for the workspace'
fi
# A saved state was to be put there, and never was as a whole.
if [[ -e $base/restoring ]]; then
  rm -f -- "$base/ready"
  rm -rf -- "$target" 2>/dev/null || { chmod -R u+rwX -- "$target" && rm -rf -- "$target"; } ||
    fail 'the workspace cannot be cleared'
fi
if [[ -f $base/ready ]]; then
  # What became of the repository since is the commands' own business.
  for proc in /proc/[0-9]*; do
    mapfile -d '' -t words <"$proc/cmdline"
    [[ ${words[2]} == 'eval "$_THREADBOX_RUN"' && ${words[3]} != threadbox-* ]] || continue
    # A runner that waits was started by the engine, one that runs something by another.
    [[ ${words[0]} != threadbox-runner ]] || { read -r line <"$proc/stat" && line=(${line##*) }) && ((line[1] > 0)); } || continue
    printf ready
    exit
  done 2>/dev/null
  [[ -z $(ls -A "$target" 2>/dev/null) ]] || { printf ready; exit; }
fi
: >>"$base/log"

# The engine makes the working directory of a container itself, as root and empty.
[[ ! -d $target ]] || rmdir -- "$target" 2>/dev/null
if [[ ! -e $target ]]; then
  # Under another name until it is whole: what a crash leaves is thrown away here.
  rm -rf -- "$part"
  branch=()
  [[ -z $_THREADBOX_BRANCH ]] || branch=(--branch "$_THREADBOX_BRANCH")
  # The saved state brings the files and the branch. What lies beside the repository already is newer, and stays.
  outcome=empty
  if [[ -n $_THREADBOX_HOLD ]]; then
    [[ ! -f $base/ready ]] || outcome=missing
    [[ -e $base/restoring ]] || { list_beside >"$base/restoring.new" && mv "$base/restoring.new" "$base/restoring"; } ||
      fail 'no room for the workspace'
    rm -f "$base/ready"
    branch=(--no-checkout)
  fi
  has_commits=$(git --git-dir="$_THREADBOX_MIRROR" for-each-ref --count=1) || fail 'the mirror cannot be read'
  [[ -n $has_commits || -n $_THREADBOX_HOLD ]] || branch=()
  git clone --quiet --shared "${branch[@]}" -- "$_THREADBOX_MIRROR" "$part" || fail 'the repository cannot be cloned'
  git -C "$part" remote set-url origin "$_THREADBOX_URL" || fail 'the address of the repository cannot be set'
  if [[ -z $has_commits && -n $_THREADBOX_BRANCH ]]; then
    git -C "$part" symbolic-ref HEAD "refs/heads/$_THREADBOX_BRANCH" || fail "$_THREADBOX_BRANCH is not the name of a branch"
  fi
  mv -T -- "$part" "$target" || fail 'the clone cannot be put in its place'
  rm -rf -- "$base"/{tree,index,saved,looked,save,fresh}
  [[ -z $_THREADBOX_HOLD ]] || { printf %s "$outcome"; exit; }
  rm -f -- "$base/restoring"
  is_new=yes
  fill_reserve 2>/dev/null
  # Where git converts no file on its way, a save knows the files already.
  # git follows no link to what says so, and what is no file may have no end.
  attributes=$(cd "$target" && git ls-files -z -- '*.gitattributes' | while IFS= read -r -d '' file; do
    [[ ! -f $file || -L $file ]] || printf '%s\0' "$file"
  done | xargs -0 -r head -q -c 1000000 --)
  is_short=
  ((${#attributes} >= 1000000)) || is_short=yes
  attributes=${attributes//text=auto} attributes=${attributes//-text}
  if [[ -n $is_short && ! $attributes =~ text|eol|crlf|filter|ident|encoding && ! -e $HOME/.config/git/attributes &&
    -f $target/.git/index && -z $(git -C "$target" config --get-regexp '^core\.(autocrlf|eol|attributesfile|symlinks)$') ]]; then
    is_plain=yes
    mkdir -p "$base/save" && cp -p -- "$target/.git/index" "$base/save/work.index" && : >"$base/save/fresh"
    : >"$base/fresh"
  fi
fi

# The snapshot that the first command is compared with.
if [[ ! -e $base/tree && -d $target/.git ]]; then
  [[ ! -f $target/.git/index ]] || cp -p "$target/.git/index" "$base/index"
  cd "$target" && export GIT_INDEX_FILE=$base/index GIT_OBJECT_DIRECTORY=$base/objects
  export GIT_ALTERNATE_OBJECT_DIRECTORIES=$target/.git/objects
  # As it was checked out a moment ago, so it is.
  [[ -n $is_plain ]] ||
    timeout -k 2 60 git -c core.hooksPath=/dev/null -c core.fsmonitor=false add -A --ignore-errors -- . >/dev/null 2>&1
  rm -f "$base/index.lock"
  timeout -k 2 60 git write-tree >"$base/tree" 2>/dev/null
  # A fresh clone has nothing that would have to be saved.
  if [[ -n $is_new && -s $base/tree ]]; then
    read_words "$base/tree" tree
    index=()
    ! GIT_INDEX_FILE=$target/.git/index git diff-index --cached --quiet "$tree" -- 2>/dev/null || index=("$tree")
    printf '%s\n' "$tree" "${index[@]}" >"$base/saved"
  fi
fi
: >"$base/ready"
