# What a save holds of the repository itself.

# Sets head, branch, refs, has_unpushed, and in parents and extras what must be carried: commits, and other objects.
find_tips() {
  local hash name symbol type file line text
  local -a hashes=() new=()
  local -A seen=() tracked=()
  read_lines "$user_git/HEAD" line || { words='the repository is damaged: .git/HEAD' && return 1; }
  [[ $line != 'ref: refs/heads/'* ]] || branch=${line#ref: refs/heads/}
  [[ $line == ref:* ]] || head=$line
  while read -r hash name symbol; do
    [[ $name != refs/remotes/* ]] || { remotes=yes tracked[$hash]=yes && continue; }
    refs+=("$hash $name${symbol:+ $symbol}")
    hashes+=("$hash")
    [[ "ref: $name" != "$line" ]] || head=$hash
  done < <(own git for-each-ref --format='%(objectname) %(refname) %(symref)' 2>/dev/null)
  [[ -z $head ]] || hashes+=("$head")
  has_unpushed=no
  for hash in "${hashes[@]}"; do [[ -n ${tracked[$hash]} ]] || has_unpushed=yes; done
  # Reflogs, and operations in progress.
  [[ ! -d $user_git/logs ]] || mapfile -t -O "${#hashes[@]}" hashes < <(find "$user_git/logs" \
    -path "$user_git/logs/refs/remotes" -prune -o -type f -size -1048576k -exec cut -d ' ' -f 2 -- {} + 2>/dev/null)
  shopt -s nullglob
  for file in "$user_git"/{*_HEAD,AUTO_MERGE,BISECT_*,rebase-merge/*,rebase-apply/*,sequencer/*,worktrees/*/HEAD}; do
    [[ -f $file && $file != */FETCH_HEAD && $file != */patch ]] || continue
    IFS= read -r -d '' -n 1000000 text <"$file"
    for name in ${text//[!0-9a-z[:space:]]/-}; do [[ ! $name =~ ^[0-9a-f]{40,64}$ ]] || hashes+=("$name"); done
  done
  shopt -u nullglob
  [[ -z $head ]] || parents+=("$head")
  for hash in "${known[@]}"; do seen[$hash]=yes; done
  for hash in "${hashes[@]}"; do [[ -z $hash || -n ${seen[$hash]} ]] || { seen[$hash]=yes && new+=("$hash"); }; done
  ((${#new[@]} > 0)) || return 0
  # In this order, so that the same work is always the same commit.
  while read -r hash type; do
    case $type in
      commit) [[ $hash == "$head" ]] || parents+=("$hash") ;;
      tree | blob) extras+=("$type $hash") ;;
      tag) tags+=("$hash") ;;
    esac
  done < <(printf '%s\n' "${new[@]}" | sort | own git cat-file --batch-check='%(objectname) %(objecttype)')
  ((${#tags[@]} == 0)) || find_tagged
}
find_tagged() {
  local hash type
  while read -r hash type; do
    case $type in
      commit) parents+=("$hash") ;;
      tree | blob) extras+=("$type $hash") ;;
    esac
  done < <(printf '%s^{}\n' "${tags[@]}" | own git cat-file --batch-check='%(objectname) %(objecttype)')
}

# Objects that only the index names.
find_staged() {
  local item name unmerged=no index_file=$room/user.index
  [[ -f $room/user.index ]] || return 0
  is_head=yes
  [[ -n $head ]] || is_head=no
  exec {plain}< <(has_plain_entries && printf 'head\n')
  while IFS= read -r -d '' item && IFS= read -r -d '' name; do
    item=($item)
    is_head=no
    [[ $item == :* ]] || continue
    [[ ${item[4]} != U ]] || unmerged=yes
    [[ ${item[1]} == 160000 || ${item[3]} =~ ^0+$ ]] || extras+=("blob ${item[3]}")
  done < <(git_work diff-index --cached --ita-visible-in-index --raw -z --no-renames --no-abbrev "${head:-$(own git mktree </dev/null)}" 2>"$room/words" || printf 'no index\0\0')
  [[ $unmerged == yes ]] || return 0
  while IFS= read -r -d '' item; do
    item=($item)
    [[ ${item[0]} == 160000 ]] || extras+=("blob ${item[1]}")
  done < <(git_work ls-files -u -z)
}
# An index that is the same as HEAD is then as git makes one of HEAD, and need not be saved: no flags, nothing that was
# unmerged once, no part of it in another file.
has_plain_entries() {
  [[ -z $(compgen -G "$user_git/sharedindex.*") ]] &&
    (set -o pipefail && git_work ls-files -c -v --resolve-undo 2>/dev/null | { ! grep -q -v '^H '; })
}

# The tree of .git. Begins with it; the second brings it.
start_state() {
  exec {state}< <(
    left=() tree= words=
    # A repository of a submodule is none without its empty directories.
    exec {found}< <(find "$user_git" \( -path "$user_git/objects" -o -path "$user_git/refs" -o -path "$user_git/logs" \) -prune -o \
      -type d -empty -printf 'e%m .git/%P\0' -o -type f ! -perm 644 ! -perm 755 ! -perm 444 -printf 'm%m .git/%P\0')
    snapshot_state
    printf '%s\0' $? "$tree" "$words" "${#left[@]}" "${left[@]}"
    mapfile -d '' -t modes <&"$found"
    ((${#modes[@]} == 0)) || printf '%s\0' "${modes[@]}"
  )
}
join_state() {
  local -a said=()
  mapfile -d '' -t said <&"$state"
  exec {state}<&-
  state= left+=("${said[@]:4:said[3]}") modes+=("${said[@]:4+said[3]}")
  [[ ${said[0]} == 0 && -n ${said[1]} ]] || { words=${said[2]} && return 1; }
  entry tree "${said[1]}" state
}
snapshot_state() {
  local part said pattern
  for part in modules lfs; do
    [[ -d $user_git/$part ]] || continue
    measure "$user_git/$part"
    ((size_bytes > inner_max)) || continue
    in_words "$size_bytes"
    leave_out ".git/$part ($size)"
    printf '/%s/\n' "$part" >>"$room/state.git/info/exclude"
  done
  # What is larger is none of git's.
  while IFS= read -r -d '' part; do
    leave_out ".git/$part (it is too large)"
    as_pattern "$part"
    printf '/%s\n' "$pattern" >>"$room/state.git/info/exclude"
  done < <(find "$user_git" \( -path "$user_git/objects" -o -path "$user_git/refs" -o -path "$user_git/modules" -o -path "$user_git/lfs" \) -prune -o \
    -type f -size +524288k -printf '%P\0')
  said=$(cd "$user_git" && kept git_state add -A --ignore-errors -- . 2>&1) || [[ $said == *'unable to index file'* && $said != *fatal:* ]] ||
    { words=$said && return 1; }
  tree=$(kept git_state write-tree 2>"$room/state-words") || { words=$(<"$room/state-words") && return 1; }
}
