# Makes the workspace of a thread: directories, git's settings, the clone. What is there already stays as it is.
# Says on standard output: not-ours when /workspace belongs to somebody else. Faults are said on standard error.
umask 022
base=/workspace/.threadbox
target=/workspace/$_THREADBOX_REPOSITORY
part=$base/clone.part
fail() {
  printf '%s\n' "$1" >&2
  exit 1
}

[[ -O /workspace ]] || { printf not-ours; exit; }
mkdir -p "$base/executions" "$base/objects" "$HOME" || fail 'no room for the workspace'
[[ -O $base/executions && -O $base/objects && -O $HOME ]] || { printf not-ours; exit; }
# A FIFO in the place of a file would block whoever opens it.
for file in "$base"/{gitconfig,gitconfig.new,log,tree,index,ready}; do
  [[ ! -e $file || -f $file ]] || rm -rf -- "$file"
done
# A command may be running here, and git under it.
if [[ $_THREADBOX_GIT_CONFIG != "$(cat "$base/gitconfig" 2>/dev/null)" ]]; then
  printf '%s\n' "$_THREADBOX_GIT_CONFIG" >"$base/gitconfig.new" && mv "$base/gitconfig.new" "$base/gitconfig" ||
    fail 'no room for the workspace'
fi
if [[ -f $base/ready ]]; then
  # What became of the repository since is the commands' own business.
  for proc in /proc/[0-9]*; do
    mapfile -d '' -t words <"$proc/cmdline"
    [[ ${words[2]} != 'eval "$_THREADBOX_RUN"' ]] || { printf ready; exit; }
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
  has_commits=$(git --git-dir="$_THREADBOX_MIRROR" for-each-ref --count=1) || fail 'the mirror cannot be read'
  [[ -n $has_commits ]] || branch=()
  git clone --quiet --shared "${branch[@]}" -- "$_THREADBOX_MIRROR" "$part" || fail 'the repository cannot be cloned'
  git -C "$part" remote set-url origin "$_THREADBOX_URL" || fail 'the address of the repository cannot be set'
  if [[ -z $has_commits && -n $_THREADBOX_BRANCH ]]; then
    git -C "$part" symbolic-ref HEAD "refs/heads/$_THREADBOX_BRANCH" || fail "$_THREADBOX_BRANCH is not the name of a branch"
  fi
  mv -T -- "$part" "$target" || fail 'the clone cannot be put in its place'
  rm -f "$base/tree" "$base/index"
fi

# The snapshot that the first command is compared with.
if [[ ! -e $base/tree && -d $target/.git ]]; then
  [[ ! -e $target/.git/index ]] || cp -p "$target/.git/index" "$base/index"
  cd "$target" && export GIT_INDEX_FILE=$base/index GIT_OBJECT_DIRECTORY=$base/objects
  export GIT_ALTERNATE_OBJECT_DIRECTORIES=$target/.git/objects
  timeout -k 2 60 git -c core.hooksPath=/dev/null -c core.fsmonitor=false add -A --ignore-errors -- . >/dev/null 2>&1
  rm -f "$base/index.lock"
  timeout -k 2 60 git write-tree >"$base/tree" 2>/dev/null
fi
: >"$base/ready"
