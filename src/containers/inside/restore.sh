# Puts a saved state into the workspace that was cloned for it just now. Reads its pack from standard input.
# Says on standard output: lines of facts, `done`. Without that the workspace is not ready, and is cloned anew.
exec 8<&0 </dev/null
mirror=$_THREADBOX_MIRROR save=$_THREADBOX_SAVE
unset -v ${!_THREADBOX_*}

blob() { own git cat-file blob "${saved[$1]}"; }
has() { [[ -n ${saved[$1]} ]]; }
# What lay beside the repository before is newer. There may be more names than a command line has room for; and tar takes
# each line for one, without the blanks at its end: where that would be another name, it is a pattern.
list_newer() {
  local name
  local -a plain=() odd=()
  while IFS= read -r -d '' name; do
    if [[ $name != *$'\n'* && $name != *[[:space:]] ]]; then
      plain+=("$name")
      continue
    fi
    name=${name//\\/\\\\} name=${name//\*/\\*} name=${name//\?/\\?} name=${name//\[/\\[}
    name=${name//$'\n'/[[:cntrl:]]}
    [[ $name != *[[:space:]] ]] || name="${name%?}[${name: -1}]"
    odd+=("$name")
  done <"$base/restoring"
  printf '%s\n' "${plain[@]}" >"$room/newer" && printf '%s\n' "${odd[@]}" >"$room/newer-odd"
}
unpack() {
  local mode type hash name
  local -a newer=()
  if [[ $1 == ignored ]]; then
    list_newer || return
    newer=(--no-wildcards --exclude-from="$room/newer" --wildcards --exclude-from="$room/newer-odd")
  fi
  while read -r mode type hash name; do
    own git cat-file blob "$hash" || return
  done < <(own git ls-tree "${saved[$1]}") | tar --extract --file=- --directory=/workspace --preserve-permissions \
    --no-same-owner --overwrite --warning=no-timestamp --anchored "${newer[@]}"
}

take_place restore || fail 'the restore before does not end'
[[ -f $base/restoring && -d $user_git ]] || fail 'the workspace was not prepared for it'
rm -rf -- "$base/save"
make_views && mkdir "$room/work.git/refs" || fail 'no room for the saved state'
own git index-pack --stdin --fix-thin <&8 >/dev/null || fail 'the saved state cannot be read'
declare -A saved=()
while read -r mode type hash name; do saved[$name]=$hash; done < <(own git ls-tree "$save")
has meta && meta=$(blob meta) || fail 'the saved state is not there'
head=
[[ ! $meta =~ $'\n'head\ ([0-9a-f]+) ]] || head=${BASH_REMATCH[1]}
git --git-dir="$mirror" for-each-ref --format='%(objectname)' >"$room/known" || fail 'the mirror cannot be read'
cloned=$(git --git-dir="$user_git" rev-parse -q --verify 'HEAD^{tree}')

restore_git() {
  # The user's own objects belong into the user's repository.
  {
    printf '%s^@\n' "$save"
    ! has objects || own git ls-tree "${saved[objects]}" | cut -f 2
    printf '%s\n' --not
    cat "$room/known"
  } | own git pack-objects -q --revs --no-sparse --window=0 --non-empty "$user_git/objects/pack/pack" >/dev/null ||
    fail 'the commits cannot be restored'
  if has tags.pack; then
    blob tags.pack | GIT_DIR=$user_git git index-pack --stdin >/dev/null || fail 'the tags cannot be restored'
  fi

  # Everything in .git but objects and what the clone knows of the upstream.
  git --git-dir="$user_git" for-each-ref --format='%(objectname) %(refname) %(symref)' refs/remotes >"$room/refs" || fail 'the clone cannot be read'
  # A repository that knew of no upstream does not now.
  [[ $meta == *$'\nremotes yes'* ]] || : >"$room/refs"
  find "$user_git" -mindepth 1 -maxdepth 1 ! -name objects -exec rm -rf -- {} + && mkdir "$user_git/refs" || fail 'no room for the repository'
  ! has refs || blob refs >>"$room/refs" || fail 'the branches cannot be restored'
  while read -r hash name symbol; do
    case $name in
      # git looks for these in files of their own.
      refs/stash | refs/bisect/* | refs/rewritten/* | refs/worktree/*) symbol= ;;
      *) [[ -n $symbol ]] || { printf '%s %s\n' "$hash" "$name" && continue; } ;;
    esac
    [[ -z $symbol ]] || hash="ref: $symbol"
    mkdir -p "$user_git/${name%/*}" && printf '%s\n' "$hash" >"$user_git/$name" || break
  done <"$room/refs" >"$room/packed"
  sort -k 2 "$room/packed" >"$user_git/packed-refs" || fail 'the branches cannot be restored'
  git_state read-tree --reset -u "${saved[state]}" || fail 'the state of the repository cannot be restored'
  if [[ $meta == *$'\nindex head'* ]]; then
    index_file=$user_git/index git_work read-tree "$head" || fail 'the index cannot be restored'
  else
    ! has index || blob index >"$user_git/index" || fail 'the index cannot be restored'
  fi
}
if [[ $meta == *$'\ngit no'* ]]; then
  # Its HEAD is there for the clone only.
  rm -rf -- "$user_git" || fail 'the files cannot be restored'
else restore_git; fi
# It may be older than the files, and have what git ignores no more: those go over it.
! has ignored || unpack ignored || fail 'the ignored files cannot be restored'
write_files() { git_work read-tree --reset -u "${saved[work]}"; }
# A directory of the archive may be closed.
write_files || { find "$target" -path "$user_git" -prune -o -type d ! -perm -700 -exec chmod u+rwx {} + && write_files; } ||
  fail 'the files cannot be restored'
if has inner; then
  blob inner-list | (cd /workspace && xargs -0 -r rm -rf --) && unpack inner || fail 'the repositories inside cannot be restored'
fi
cd "$target" || fail 'the repository cannot be entered'
if has modes; then
  while IFS= read -r -d '' item; do
    mode=${item%% *} name=./${item#* }
    [[ $mode != e* ]] || printf '%s\0' "$name" >>"$room/empty"
    [[ $mode == e755 ]] || printf '%s\0' "$name" >>"$room/mode-${mode:1}"
  done < <(blob modes)
  [[ ! -f $room/empty ]] || xargs -0 mkdir -p -- <"$room/empty" || fail 'the empty directories cannot be restored'
  for file in "$room"/mode-*; do
    # What lies in a repository inside that was left out is not there.
    [[ ! -f $file ]] || xargs -0 chmod "${file##*-}" -- <"$file" 2>/dev/null
  done
fi

# The times in the index are those of the files that were. Where git converts no file, those of the files that are now
# are known already: so git need not look into each, neither here nor after the next command.
read_attributes() {
  local file
  # git follows no link to them, and what is no file may have no end.
  while IFS= read -r -d '' file; do
    [[ ! -f $file || -L $file ]] || printf '%s\0' "$file"
  done | xargs -0 -r head -q -c 1000000 --
}
take_times() {
  local text staged index_file=$room/new.index
  local -a names=()
  [[ -f $user_git/index ]] && ! has inner || return
  [[ ! -L $user_git/info/attributes && ! -L $HOME/.config/git/attributes ]] || return
  text=$({ git_work ls-files -z -- '*.gitattributes' && printf '%s\0' "$user_git/info/attributes" "$HOME/.config/git/attributes"; } | read_attributes)
  ((${#text} < 1000000)) || return
  text=${text//text=auto} text=${text//-text}
  [[ ! $text =~ text|eol|crlf|filter|ident|encoding ]] || return
  [[ -z $(git config --get-regexp '^core\.(autocrlf|eol|attributesfile|symlinks|splitindex)$') ]] || return
  # As if it were younger than the files: git would read each of them again, and nobody has changed any since.
  cp -- "$room/work.index" "$index_file" && touch -d '+1 minute' -- "$index_file" || return
  if [[ $meta == *$'\nindex head'* ]]; then
    staged=$head
    git_work read-tree -m "$staged" || return
  else
    cp -- "$user_git/index" "$room/user.index" && [[ -z $(index_file=$room/user.index git_work ls-files --resolve-undo) ]] || return
    # What an index names as its trees must be with the user's own objects.
    staged=$(GIT_INDEX_FILE=$room/user.index git --git-dir="$user_git" -c core.fsmonitor=false write-tree) && git_work read-tree -m "$staged" || return
    cmp -s <(index_content "$room/user.index") <(index_content "$index_file") || return
  fi
  mapfile -d '' -t names < <(own git diff-tree -r --name-only --no-renames -z "$staged" "${saved[work]}")
  cp -- "$index_file" "$user_git/index" && cp -- "$index_file" "$base/index" && : >"$base/fresh" || return
  ((${#names[@]} == 0)) || printf ':(top,literal)%s\0' "${names[@]}" | snapshot_by_git --pathspec-from-file=- --pathspec-file-nul
} 2>/dev/null
# With their settings, as find_changes does it. A filter of the repository's may hang, and waits for nobody.
snapshot_by_git() {
  local -x GIT_INDEX_FILE=$base/index GIT_OBJECT_DIRECTORY=$objects GIT_ALTERNATE_OBJECT_DIRECTORIES=$user_git/objects
  timeout -k 2 10 git -c core.hooksPath=/dev/null -c core.fsmonitor=false add -A --ignore-errors "$@" &>/dev/null
  rm -f "$base/index.lock"
  return 0
}
rm -f -- "$base"/{tree,index,index.lock,tracked-only,fresh}
if ! take_times; then
  timeout -k 2 20 git -c core.hooksPath=/dev/null -c core.fsmonitor=false update-index -q --refresh &>/dev/null
  rm -f "$user_git/index.lock"
  [[ ! -f $user_git/index ]] || cp -p -- "$user_git/index" "$base/index"
  [[ ! -d $user_git ]] || snapshot_by_git -- .
fi
[[ ! -d $user_git ]] || GIT_INDEX_FILE=$base/index GIT_OBJECT_DIRECTORY=$objects GIT_ALTERNATE_OBJECT_DIRECTORIES=$user_git/objects \
  timeout -k 2 10 git write-tree >"$base/tree" 2>/dev/null
: >"$room/fresh"
find . -path ./.git -prune -o -name node_modules -prune -o -name '.env*' ! -type d -printf 'e%P\0' 2>/dev/null >"$base/looked"
{ cat -- "$base/tree" 2>/dev/null || :; } >"$base/saved" && : >"$base/ready" && rm -f -- "$base/restoring" || fail 'no room for the saved state'
printf 'files %s\n' "$(own git diff-tree -r --name-only --no-renames "${cloned:-$(own git mktree </dev/null)}" "${saved[work]}" | wc -l)"
! has left || blob left
printf done
