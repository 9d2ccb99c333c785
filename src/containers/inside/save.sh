# Saves the workspace: everything that cannot be had from the mirror becomes one commit, carried out as a pack.
# Says on standard output: facts in lines, NUL, the pack. Waits for `ok` on standard input, then marks it as saved.
# Nothing of the user's is changed, except by the commit of a final save.
exec 8<&0 </dev/null
# The last part of a pipe sets variables of ours.
shopt -s lastpipe
kind=$_THREADBOX_KIND style=$_THREADBOX_STYLE mirror=$_THREADBOX_MIRROR last=$_THREADBOX_BASE
thread=$_THREADBOX_THREAD timestamp=$_THREADBOX_TIMESTAMP
file_max=$_THREADBOX_FILE_MAX ignored_max=$_THREADBOX_IGNORED_MAX inner_max=$_THREADBOX_INNER_MAX afresh=$_THREADBOX_AFRESH
save_max=$_THREADBOX_PACK_MAX
unset -v ${!_THREADBOX_*}
modified= unmerged= committed=no has_unpushed=yes look= count= ahead= disk= used= snapshot= state= lends=

leave_out() {
  local said=${1//[[:cntrl:]]/?}
  left+=("${said:0:300}")
}
in_words() {
  if (($1 < 1 << 20)); then size="$((($1 + 1023) >> 10)) kB"; else size="$((($1 + (1 << 20) - 1) >> 20)) MB"; fi
}
entry() {
  local mode=100644
  [[ $1 != tree ]] || mode=040000
  top+=("$mode $1 $2"$'\t'"$3")
}

# What a save that was killed left goes.
clear_room() {
  local -a left
  [[ -d $room ]] || mkdir -p "$room"
  shopt -s nullglob
  left=("$base"/save/*.lock "$base"/objects/{,*/}tmp_obj_* "$base"/objects/pack/tmp_*)
  shopt -u nullglob
  [[ ${#left[@]} == 0 && ! -e /tmp/threadbox-save ]] || rm -rf -- "${left[@]}" /tmp/threadbox-save
} 2>/dev/null

# A blob of what is read, or of texts in a format. They become objects all at once.
blob_of() {
  { if (($# > 1)); then printf "${@:2}"; else cat; fi >"$room/blob-$1"; } 2>"$room/words" ||
    { words='No space left for what is saved' && return 1; }
  blobs+=("$1")
}
write_blobs() {
  local name
  local -a hashes=() paths=()
  for name in "${blobs[@]}"; do
    if [[ $name == index ]]; then paths+=("$room/user.index"); else paths+=("$room/blob-$name"); fi
  done
  mapfile -t hashes < <(printf '%s\n' "${paths[@]}" | own git hash-object -w --no-filters --stdin-paths 2>"$room/words")
  ((${#hashes[@]} == ${#blobs[@]})) || { words=$(<"$room/words") && return 1; }
  for name in "${!blobs[@]}"; do entry blob "${hashes[name]}" "${blobs[name]}"; done
}

open_views() {
  local file stamp=
  local -a shared=("$user_git"/sharedindex.*)
  read_lines "$room/views" stamp
  if [[ $stamp == "1 $has_git" && -d $room/work.git && -d $room/state.git && ! -e ${shared[0]} ]]; then
    write_exclude
    return
  fi
  [[ ! -e $room/work.git && ! -e $room/state.git && ! -e $room/views ]] || rm -rf -- "$room"/{work,state}.git "$room/views"
  make_views || return
  if [[ $has_git == no ]]; then
    mkdir "$room/work.git/refs" || return
  else
    ln -sfn -t "$room/work.git" "$user_git"/{refs,packed-refs,shallow} &&
      ln -sfn "$user_git/info/exclude" "$room/work.git/info/exclude" || return
    for file in "${shared[@]}"; do
      [[ ! -f $file ]] || ln -sfn -t "$room/work.git" "$file" || return
    done
  fi
  printf '1 %s\n' "$has_git" >"$room/views"
}

copy_index() {
  # One that is larger is none.
  if [[ $has_git == no || ! -f $user_git/index || -n $(find "$user_git/index" -size +1048576k) ]]; then
    [[ ! -e $room/user.index ]] || rm -rf -- "$room/user.index"
    return
  fi
  cp --remove-destination -- "$user_git/index" "$room/user.index" ||
    { words='No space left for a copy of the index' && return 1; }
}

# Sets save.
make_save() {
  local item tree
  top=() blobs=() index_is=
  [[ -n $snapshot ]] || start_snapshot
  [[ $has_git == no ]] || start_state
  copy_index || return
  head= branch= remotes=no has_unpushed=yes refs=() parents=() extras=() tags=() plain= is_head=no
  [[ $has_git == no ]] || { find_tips && find_staged && join_state; } || return
  [[ -z $plain ]] || read -r index_is <&"$plain"
  [[ $is_head == yes ]] || index_is=
  [[ -n $index_is || ! -f $room/user.index ]] || blobs+=(index)
  [[ -z $head || $has_unpushed == no ]] || exec {ahead}< <(own git rev-list --count "$head" --branches --not --remotes 2>/dev/null)
  join_snapshot && entry tree "$work" work || return
  [[ -n $modified ]] ||
    exec {count}< <(own git diff-tree -r --name-only "${head:-$(own git mktree </dev/null)}" "$work" 2>/dev/null | wc -l)
  if ((${#extras[@]} > 0)); then
    tree=$(for item in "${extras[@]}"; do
      [[ $item == tree* ]] && item="040000 $item" || item="100644 $item"
      printf '%s\t%s\n' "$item" "${item##* }"
    done | sort -u | own git mktree 2>"$room/words") || { words=$(<"$room/words") && return 1; }
    entry tree "$tree" objects
  fi
  if ((${#tags[@]} > 0)); then
    { printf '%s\n' "${tags[@]}" --not "${parents[@]}"; } | own git pack-objects -q --revs --stdout --threads=1 2>/dev/null | blob_of tags.pack || return
  fi
  ((${#refs[@]} == 0)) || blob_of refs '%s\n' "${refs[@]}" || return
  snapshot_inner && snapshot_ignored || return
  ((${#modes[@]} == 0)) || printf '%s\0' "${modes[@]}" | sort -z | blob_of modes || return
  ((${#left[@]} == 0)) || printf '%s\n' "${left[@]}" | sort -u | blob_of left || return
  blob_of meta '%s\n' 'threadbox-save 1' "head $head" "branch $branch" "remotes $remotes" "git $has_git" ${index_is:+"index $index_is"} || return
  write_blobs || return
  tree=$(printf '%s\n' "${top[@]}" | own git mktree 2>"$room/words") || { words=$(<"$room/words") && return 1; }
  # Always the same for the same work: so what has not changed is recognised.
  save=$({
    printf 'tree %s\n' "$tree"
    ((${#parents[@]} == 0)) || printf 'parent %s\n' "${parents[@]}"
    printf '%s\n' 'author Threadbox <threadbox@localhost> 0 +0000' 'committer Threadbox <threadbox@localhost> 0 +0000' '' 'Saved state'
  } | own git hash-object -t commit -w --stdin 2>"$room/words") || { words=$(<"$room/words") && return 1; }
}

# Each save brings a pack of files and loose trees: from time to time they become one.
tidy_objects() {
  local hash pack
  local -a packs=("$objects"/pack/pack-*.pack)
  ((${#packs[@]} > 50)) || return
  hash=$(printf '%s\n' "${packs[@]##*/}" | own git pack-objects -q --stdin-packs --unpacked --window=0 "$objects/pack/pack") || return
  [[ -n $hash && -f $objects/pack/pack-$hash.idx ]] || return
  for pack in "${packs[@]}"; do
    [[ $pack == *"-$hash.pack" ]] || rm -f -- "$pack" "${pack%.pack}".{idx,rev}
  done
  own git prune-packed -q
} 2>/dev/null

is_as_before() {
  [[ $save != "$last" ]] || return 0
  [[ $(own git diff-tree --name-only "$last" "$save") == index ]] || return
  own git cat-file blob "$last:index" >"$room/last.index"
  [[ $(index_content "$room/last.index") == "$(index_content "$room/user.index")" ]]
}

# True when something but what is ours lies in the workspace.
has_beside() {
  [[ -n $(find /workspace -mindepth 1 -maxdepth 1 ! -name "$repository" ! -name .threadbox ! -name .home ! -name lost+found \
    ! -name .inbox ! -name .outbox -print -quit) ]]
}

# Says what all of the workspace takes, in bytes. Where it lies on a disk of its own that is known; else it is counted,
# beside the rest, and not for long: it is to be looked at, and nothing hangs on it.
measure_disk() {
  local -a found
  # Docker puts /etc/hosts where volumes lie, unless they are given a place.
  mapfile -t found < <(stat -c %d -- /workspace /etc/hosts && stat -f -c '%b %f %S' -- /workspace)
  if ((${#found[@]} == 3)) && [[ ${found[0]} != "${found[1]}" ]]; then
    found=(${found[2]})
    echo $(((found[0] - found[1]) * found[2]))
  else
    timeout 2 du -sx --block-size=1 -- /workspace
  fi
} 2>/dev/null

# True when what would be carried is more than the bot takes: known before any of it is, as long as it goes as it lies here. It
# can only be so in a workspace that has so much in it, or whose size is not known.
is_too_large() {
  local bytes
  ((unpushed <= 20)) && [[ -z $used || $used -gt $save_max ]] || return
  bytes=$(printf '%s\n' "$save" ${last:+"^$last"} "${known[@]/#/^}" | own git rev-list --objects --disk-usage --stdin 2>/dev/null)
  [[ $bytes =~ ^[0-9]+$ ]] && ((bytes > save_max))
}

# What was not prepared, or is restored at this moment, is not the work: it must not take the place of what was saved.
open_places /workspace "$base"
if [[ -e $base/restoring ]]; then
  # What lay beside the repository then is in no save.
  [[ -s $base/restoring ]] && fail 'the repository is missing'
  fail 'not ready'
fi
# The engine makes the working directory of a container itself, as root and empty.
if [[ ! -d $target || ! -O $target && -z $(ls -A -- "$target") ]]; then
  # A command has taken it away: not to be told from what was never there, where all else has gone with it.
  [[ ! -f $base/ready ]] && ! has_beside && fail 'not ready'
  fail 'the repository is missing'
fi
# A command may have removed `ready`, or all of .threadbox; a clone comes to its place as a whole.
[[ -f $base/ready || -f $user_git/HEAD && -O $target ]] || fail 'not ready'
# Work without a repository is work, too; and so that nobody has to be told, no work is a state like others.
has_git=yes
[[ ! -d $user_git || -L $user_git || -r $user_git && -x $user_git ]] || fail '.git may not be read'
[[ -f $user_git/HEAD && -d $user_git/objects && ! -L $user_git ]] || has_git=no
# What the mirror cannot complete could not be verified: a shallow clone of another repository, or one whose objects have
# names of another kind. Such a .git is carried as it is, like those of repositories inside.
is_foreign() {
  [[ ! -s $user_git/shallow || ! -f $user_git/shallow ]] ||
    [[ $(git --git-dir="$mirror" cat-file --batch-check < <(head -c 10000000 -- "$user_git/shallow") 2>/dev/null) != *missing* ]] || return 0
  if uses_sha256 "$mirror"; then ! uses_sha256 "$user_git"; else uses_sha256 "$user_git"; fi
}
carries_git=no
# Where there are pipes, say, in the places of files, git would wait for somebody to write to them.
is_odd() {
  local file
  for file in HEAD config config.worktree packed-refs shallow commondir info/{exclude,attributes} objects/info/alternates; do
    [[ ! -e $user_git/$file || -f $user_git/$file ]] || return 0
  done
  return 1
}
[[ $has_git == no ]] || ! is_odd || has_git=no
[[ $has_git == no ]] || ! is_foreign || has_git=no carries_git=yes
cd "$target" || fail 'the repository cannot be entered'
# Nothing is said to it yet: the bot has gone, and a later save may be at work.
! read -r -t 0 -u 8 || exit 1
[[ -d $base ]] || mkdir -p "$base"
take_place save || fail 'the save before does not end'
clear_room
left=()
# What went wrong lies on that disk, too, and is lost where it is full.
has_room() {
  printf '%65536s' '' 2>/dev/null >"$room/probe" && printf yes
  rm -f -- "$room/probe"
}
go_elsewhere() {
  # Nothing may be at work any more where it is left.
  [[ -z $snapshot ]] || join_snapshot
  [[ -z $state ]] || join_state
  mkdir -p /tmp/threadbox-save || fail "${words:-the disk of the workspace is full, and the other one, too}"
  [[ ! -f $room/work.index ]] || cp -p "$room/work.index" /tmp/threadbox-save/
  room=/tmp/threadbox-save objects=/tmp/threadbox-save/objects left=() lends=
  told+=('the disk of the workspace is full')
  open_views || fail 'No space left on any disk of the container'
}
# Something that an index or the last save holds on to has gone.
[[ $afresh == no ]] || rm -f -- "$room"/*.index
told=()
open_views 2>/dev/null || go_elsewhere
find_user_ignore
exec {upstream}< <(git --git-dir="$mirror" for-each-ref --format='%(objectname)' && echo end)
exec {disk}< <(measure_disk)
start_look
start_count
learning=
[[ ! -e $room/fresh ]] || { learn_files & learning=$!; }
look_through
looked=("${left[@]}")
mapfile -t known <&"$upstream"
[[ ${known[*]: -1} == end ]] || fail 'the mirror cannot be read'
unset -v 'known[-1]'
[[ -z $learning ]] || wait "$learning"
count_modified
clear_way "$base/saved.new"
tree=
read_words "$base/tree" tree
printf '%s\n' "$tree" 2>/dev/null >"$base/saved.new"
counted=$modified
[[ $kind != final || $style != commit || $has_git == no ]] || commit_work
# What was to be in a commit that was not made is not what is saved.
[[ $committed == yes ]] || modified=$counted
told+=("${left[@]}") left=("${looked[@]}")
[[ -z $last ]] || own git cat-file -e "$last^{tree}" 2>/dev/null || last=
if ! make_save; then
  # What is needed for a while may lie elsewhere.
  [[ $room == "$base/save" && ($words == *'No space left'* || $words == *'Disk quota'* || -z $(has_room)) ]] ||
    fail "${words:-it broke off}"
  go_elsewhere
  start_look
  look_through
  make_save || fail "${words:-it broke off}"
fi
[[ -n $modified ]] || read -r modified <&"$count"
read -r -t 0.5 used _ <&"$disk" || used=
unpushed=0
[[ -z $ahead ]] || read -r unpushed <&"$ahead"
unchanged=no
[[ -z $last ]] || ! is_as_before || unchanged=yes save=$last
[[ $unchanged == yes ]] || ! is_too_large || fail 'too large'
printf '%s\n' 'threadbox-save 1' "save $save" "commit $head" "branch $branch" "modified $modified" "unpushed $unpushed" \
  "committed $committed" "unchanged $unchanged" ${used:+"disk $used"}
for item in "${told[@]}" "${left[@]}"; do printf 'left %s\n' "$item"; done
printf '\0'
if [[ $unchanged == no ]]; then
  # As if it came after the last one, so that what both hold is not carried.
  carried=$save bases=()
  if [[ -n $last ]]; then
    bases=("$last")
    carried=$(own git commit-tree -p "$save" -p "$last" -m Carrier "$work" 2>/dev/null) || carried=$save
  fi
  # To look for differences costs more than to carry all of it next door, unless there is a history.
  ((unpushed > 20)) || window=0
  printf '%s\n' "$carried" --not "${bases[@]}" "${known[@]}" |
    own git pack-objects -q --revs --no-sparse --stdout --delta-base-offset ${window:+--window="$window"} || fail 'the objects cannot be packed'
fi
rm -rf -- /tmp/threadbox-save "$room"/blob-*
IFS= read -r -t 600 -u 8 answer || exit 1
[[ $answer == ok ]] || exit 1
# Without room it counts as not saved: the next save finds that nothing has changed.
clear_way "$base/looked"
if [[ -s $base/saved.new ]]; then
  note_look 2>/dev/null >"$base/looked"
  mv -T -- "$base/saved.new" "$base/saved"
fi
tidy_objects
printf done
