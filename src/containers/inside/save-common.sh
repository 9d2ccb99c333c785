# Shared by save and restore: the places, and git without anything of the user's settings.
#
#   save/work.git, save/state.git     what git needs to look at the work tree, and at .git as if that were one. Settings,
#                     attributes, filters and hooks of the user do not apply there: bytes stay bytes
#   save/work.index, save/state.index what they hold, with the state of the files when they were last looked at
#   saved             the snapshot at the last verified save, as find_changes knows it; its time: when that save began
umask 022
export LC_ALL=C
base=/workspace/.threadbox
repository=$_THREADBOX_REPOSITORY
target=/workspace/$repository
user_git=$target/.git
room=$base/save objects=$base/objects

fail() {
  printf '%s\n' "$1" >&2
  exit 1
}

# SHA-256 names where the mirror has them (gitrepository-layout(5), extensions.objectFormat).
uses_sha256() {
  local text=
  [[ ! -f $1/config ]] || IFS= read -r -d '' text <"$1/config"
  [[ ${text,,} =~ objectformat[[:space:]]*=[[:space:]]*\"?sha256 ]]
}
make_views() {
  local view version=0
  local -a format=()
  ! uses_sha256 "$mirror" || version=1 format=('[extensions]' 'objectFormat = sha256')
  mkdir -p "$room"/{work.git,state.git}/{info,objects} "$room/state.git/refs" "$objects" || return
  for view in work state; do
    printf '%s\n' '[core]' "repositoryFormatVersion = $version" 'compression = 1' 'bigFileThreshold = 16m' \
      'fsync = none' 'protectNTFS = false' 'protectHFS = false' '[checkout]' 'workers = 2' \
      '[pack]' 'compression = 1' 'threads = 1' '[index]' 'threads = 1' '[gc]' 'auto = 0' "${format[@]}" >"$room/$view.git/config" || return
    printf '* -text !eol !crlf !filter !ident !working-tree-encoding\n' >"$room/$view.git/info/attributes" || return
    printf 'ref: refs/heads/none\n' >"$room/$view.git/HEAD" || return
  done
  write_exclude
}
# Objects are carried by git, refs and index are listed.
write_exclude() {
  printf '%s\n' /objects/ /refs/ /packed-refs /index /logs/refs/remotes/ '*.lock' '/gc.pid*' '/fsmonitor--daemon*' \
    >"$room/state.git/info/exclude"
}

# Runs a process with objects of our own, and nobody's settings.
own() {
  local -x GIT_OBJECT_DIRECTORY=$objects GIT_CONFIG_NOSYSTEM=1 GIT_CONFIG_GLOBAL=/dev/null GIT_OPTIONAL_LOCKS=0
  local -x GIT_ALTERNATE_OBJECT_DIRECTORIES=${alternates:-$user_git/objects:$base/objects:$mirror/objects} GIT_DIR=${view_dir:-$room/work.git}
  local -x GIT_AUTHOR_NAME=Threadbox GIT_AUTHOR_EMAIL=threadbox@localhost GIT_AUTHOR_DATE='@0 +0000'
  local -x GIT_COMMITTER_NAME=Threadbox GIT_COMMITTER_EMAIL=threadbox@localhost GIT_COMMITTER_DATE='@0 +0000'
  local -x GIT_CONFIG_COUNT=1 GIT_CONFIG_KEY_0=core.excludesFile GIT_CONFIG_VALUE_0=${ignore_file:-/dev/null}
  "$@"
}
# For what an index of ours holds on to: the user's own objects may go, by `git gc` or with all of .git. They are
# good enough only for the last save before the container goes.
kept() {
  [[ -n $lends ]] || local alternates=$base/objects:$mirror/objects
  "$@"
}
git_work() {
  local ignore_file=${user_ignore:-$HOME/.config/git/ignore}
  local -x GIT_WORK_TREE=$target GIT_INDEX_FILE=${index_file:-$room/work.index}
  own git "$@"
}
git_state() {
  local view_dir=$room/state.git
  local -x GIT_WORK_TREE=$user_git GIT_INDEX_FILE=$room/state.index
  own git "$@"
}
# Away with what stands in the place of a file and is none.
clear_way() {
  [[ ! -L $1 && (! -e $1 || -f $1) ]] || rm -rf -- "$1"
}
# All new files of an `add` go into one pack, which costs half of a file for each; and what lies in a pack is carried
# as it lies there. A file that gets shorter while it is read ends such an `add`.
AT_ONCE=(-c core.bigFileThreshold=1 -c pack.compression=1)
# The index as git reads it: without times and sizes of files, which a mere `git status` brings up to date.
index_content() { index_file=$1 git_work ls-files -s --debug | grep -o -E '^[^ ].*|flags: .*'; }
