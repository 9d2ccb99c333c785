# What a save holds of the files.

# Says which files git ignores, and of all others what a save must know. It takes a while, and goes on beside the rest.
start_look() { exec {look}< <(list_files); }
list_files() {
  local item pattern
  local -a ignored=() prune=()
  mapfile -d '' -t ignored < <(git_work ls-files -o -i --exclude-standard --directory -z 2>/dev/null)
  ((${#ignored[@]} == 0)) || printf 'i%s\0' "${ignored[@]}"
  for item in "${ignored[@]}"; do
    [[ $item == */ ]] || continue
    as_pattern "${item%/}"
    prune+=(-path "./$pattern" -prune -o)
  done
  find . -path ./.git -prune -o "${prune[@]}" \
    -iname .git -printf 'g%P\0' -prune -o \
    -type d \( ! -readable -o ! -executable \) -printf 'u%P\0' -prune -o \
    -type d -empty -printf 'e%m %P\0' -o -type d ! -perm 755 -printf 'm%m %P\0' -o \
    -type f ! -readable -printf 'u%P\0' -o -type f -size "+${file_max}c" -printf 'b%s %P\0' -o \
    -type f ! -perm 644 ! -perm 755 -printf 'm%m %P\0' -o \
    ! -type f ! -type d ! -type l -printf 's%P\0' 2>/dev/null
  printf end
}

as_pattern() {
  pattern=${1//\\/'\\'} pattern=${pattern//\*/'\*'} pattern=${pattern//\?/'\?'} pattern=${pattern//\[/'\['}
}
# For the next command, which asks whether it has left anything to save. More than some cost more than they spare.
note_look() {
  local item pattern count=0
  ((${#env_files[@]} == 0)) || printf 'e%s\0' "${env_files[@]}"
  for item in "${ignored[@]}"; do
    [[ $item == */ ]] && ((++count <= 100)) || continue
    as_pattern "${item%/}"
    printf 'i%s\0' "$pattern"
  done
}

# Sets ignored, env_files, inner, skipped, large, modes. Of what git ignores nothing is looked at but .env files.
look_through() {
  local item size
  local -a records=()
  local -A is_ignored=()
  mapfile -d '' -t records <&"$look"
  exec {look}<&-
  [[ ${records[*]: -1} == end ]] || fail 'the files could not be looked through'
  unset -v 'records[-1]'
  ignored=() env_files=() inner=() skipped=() large=() modes=()
  [[ $carries_git == no ]] || inner+=(.git)
  [[ $has_git == yes || $carries_git == yes || ! -e .git ]] || { leave_out '.git (it is no whole repository)' && skipped+=(.git); }
  for item in "${records[@]}"; do
    case $item in
      i*)
        item=${item#i}
        if [[ $item != */ && ${item##*/} == .env* ]]; then env_files+=("$item"); else ignored+=("$item") is_ignored[/$item]=yes; fi
        ;;
      g*) item=${item#g} && inner+=("${item%/*}") ;;
      u*) leave_out "${item#u} (it may not be read)" && skipped+=("${item#u}") ;;
      s*) leave_out "${item#s} (no regular file)" && skipped+=("${item#s}") ;;
      b*)
        item=${item#b}
        if [[ -n ${is_ignored[/${item#* }]} ]]; then
          :
        elif ((${item%% *} < save_max)); then
          large+=("$item")
        else
          # No save could carry it, so git need not even read it.
          in_words "${item%% *}"
          leave_out "${item#* } ($size)" && skipped+=("${item#* }")
        fi
        ;;
      *) modes+=("$item") ;;
    esac
  done
}

# Large files that are as git knows them already cost nothing.
skip_large() {
  local -a names=() changed=()
  local -A sizes=()
  local item
  ((${#large[@]} > 0)) || return 0
  for item in "${large[@]}"; do names+=(":(literal)${item#* }") && sizes[${item#* }]=${item%% *}; done
  mapfile -d '' -t changed < <(git_work ls-files -m -o -z -- "${names[@]}")
  ((${#changed[@]} > 0)) || return 0
  for item in "${changed[@]}"; do
    in_words "${sizes[$item]:-0}"
    leave_out "$item ($size)"
    skipped+=("$item")
  done
  printf '%s\0' "${changed[@]}" | git_work update-index -z --force-remove --stdin
}

# What git ignores and yet belongs to the work: what the user has added all the same, and .env files.
add_forced() {
  local -a forced=() specs=()
  local item index_file=$user_git/index
  [[ $has_git == no || ! -f $user_git/index ]] || mapfile -d '' -t forced < <(git_work ls-files -c -i --exclude-standard -z 2>/dev/null)
  index_file=
  for item in "${forced[@]}" "${env_files[@]}"; do [[ ! -f $item && ! -L $item ]] || specs+=(":(literal)$item"); done
  ((${#specs[@]} == 0)) || printf '%s\0' "${specs[@]}" |
    kept git_work add -f --ignore-errors --pathspec-from-file=- --pathspec-file-nul 2>&1 >/dev/null
}

# Of files as young as the index git would make objects again, each time, though the mirror has them. What the user's
# index knows of files that are as they were cloned has been looked at since; all others are read.
learn_files() {
  local tree times index_file=$room/seed.index
  rm -f -- "$room/fresh"
  mapfile -t times < <(stat -c %Y -- "$room/work.index" "$user_git/index")
  if [[ -f $user_git/index ]] && ((${#times[@]} == 2 && times[1] > times[0])) && [[ -z $(compgen -G "$user_git/sharedindex.*") ]] &&
    cp -p -- "$user_git/index" "$index_file" && ! git_work ls-files -v | grep -q -v '^H ' &&
    tree=$(index_file=$room/work.index kept git_work write-tree) && kept git_work read-tree -m "$tree"; then
    mv -f -- "$index_file" "$room/work.index"
  else
    index_file=$room/work.index kept git_work update-index -q --refresh --force-write-index
  fi
} &>/dev/null

# Begins to take the files in, beside what comes from git itself; the second makes a tree of them, and sets work.
start_snapshot() {
  exec {snapshot}< <(
    left=() words=
    snapshot_work
    printf '%s\0' $? "$words" "${left[@]}"
  )
}
join_snapshot() {
  local -a said=()
  mapfile -d '' -t said <&"$snapshot"
  exec {snapshot}<&-
  snapshot= left+=("${said[@]:2}")
  [[ ${said[0]} == 0 ]] || { words=${said[1]} && return 1; }
  # Not before: a commit has made most of it by now.
  work=$(kept git_work write-tree 2>"$room/said") || { words=$(<"$room/said") && return 1; }
}
snapshot_work() {
  local -a specs=(:/) at_once=("${AT_ONCE[@]}")
  local item tries said
  # What the commit has made need not be packed once more to find out that it is there.
  [[ -z $lends ]] || at_once=()
  [[ ! -e $room/fresh ]] || learn_files
  skip_large || { words='the large files could not be looked at' && return 1; }
  add_forced >"$room/said" 2>&1
  said=$(<"$room/said")
  for item in "${inner[@]}" "${skipped[@]}"; do specs+=(":(top,exclude,literal)$item"); done
  # A file may go or change while it is read.
  for tries in 1 2 3; do
    words=$(printf '%s\0' "${specs[@]}" | kept git_work "${at_once[@]}" -c advice.addEmbeddedRepo=false add -A --ignore-errors \
      --pathspec-from-file=- --pathspec-file-nul 2>&1 >/dev/null) && leave_out_long && words= && break
    [[ $words != *'No space left'* && ($words != *fatal:* || ${#at_once[@]} != 0) ]] || return 1
    at_once=()
  done
  while IFS= read -r item; do
    [[ $item != *'unable to index file'* && $item != *'could not open'* ]] || leave_out "${item#*: }"
  done <<<"$said$words"
}

# git passes over a directory whose path is too long for it, and only says so: its words on that are cut off, too.
leave_out_long() {
  local item
  ((${#words} > 4000)) || return 0
  while IFS= read -r item; do
    [[ $item != *"could not open directory '"* || ${#item} -lt 4000 ]] ||
      { item=${item#*\'} && leave_out "a path that is too long for git: ${item:0:100}..."; }
  done <<<"$words"
}

# Reads names below /workspace, prints the tree of the parts of their archive. In parts, because git holds a blob in
# memory; and parts that stay the same are not carried again.
archive() {
  tar --create --file=- --directory=/workspace --sort=name --format=gnu --numeric-owner --owner=0 --group=0 \
    --null --verbatim-files-from --files-from=- 2>"$room/tar-words" |
    (cd / && own split -b 8M -a 4 -d --filter='printf "100644 blob %s\t%s\n" "$(git hash-object -w --stdin)" "$FILE"' - part \
      2>"$room/words") | sort -t $'\t' -k 2 | own git mktree 2>>"$room/words"
}
tell_tar() {
  local line
  while IFS= read -r line; do
    [[ $line != *': Cannot '* ]] || leave_out "${line#tar: }"
  done <"$room/tar-words"
}

# Sets size_bytes.
measure() {
  size_bytes=$(du -s -B1 --apparent-size -- "$1" 2>/dev/null)
  size_bytes=${size_bytes%%[!0-9]*}
  size_bytes=${size_bytes:-0}
}

# Repositories inside, whole: git keeps none in another one.
snapshot_inner() {
  local -a names=()
  local item list tree
  for item in "${inner[@]}"; do
    measure "./$item"
    if ((size_bytes > inner_max)); then
      in_words "$size_bytes"
      leave_out "$item ($size)"
    else names+=("$repository/$item"); fi
  done
  ((${#names[@]} > 0)) || return 0
  list=$(printf '%s\0' "${names[@]}" | sort -z | own git hash-object -w --stdin)
  if [[ -n $last && -f $base/saved && $list == "$(own git rev-parse -q --verify "$last:inner-list")" &&
    -z $(find "${inner[@]/#/./}" -cnewer "$base/saved" -print -quit) ]]; then
    tree=$(own git rev-parse "$last:inner")
  else
    tree=$(printf '%s\0' "${names[@]}" | archive) || { words=$(<"$room/words") && return 1; }
    tell_tar
  fi
  entry tree "$tree" inner
  entry blob "$list" inner-list
}

# What git ignores, and what lies beside the repository, the smallest first, as far as the limit goes. A quick save
# keeps what the one before had of it.
snapshot_ignored() {
  local -a items=() names=()
  local item tree sum=0
  if [[ $kind == quick ]]; then
    [[ -z $last ]] || ! tree=$(own git rev-parse -q --verify "$last:ignored") || entry tree "$tree" ignored
    return
  fi
  for item in "${ignored[@]}"; do items+=("$repository/${item%/}"); done
  shopt -s dotglob nullglob
  for item in /workspace/* /workspace/.home/*; do
    case ${item#/workspace/} in
      "$repository" | .threadbox | .home | lost+found | .home/.cache | .home/.npm) ;;
      *) items+=("${item#/workspace/}") ;;
    esac
  done
  shopt -u dotglob nullglob
  ((${#items[@]} > 0)) || return 0
  cd /workspace || return
  mapfile -d '' -t items < <(printf '%s\0' "${items[@]}" |
    du -s -0 -B1 --apparent-size --files0-from=- 2>/dev/null | sort -z -n)
  cd "$target" || return
  for item in "${items[@]}"; do
    size_bytes=${item%%$'\t'*} item=${item#*$'\t'}
    if ((sum + size_bytes > ignored_max)); then
      in_words "$size_bytes"
      leave_out "${item#"$repository/"} ($size, ignored by git)"
    else
      ((sum += size_bytes))
      names+=("$item")
    fi
  done
  ((${#names[@]} > 0)) || return 0
  tree=$(printf '%s\0' "${names[@]}" | archive) || { words=$(<"$room/words") && return 1; }
  tell_tar
  entry tree "$tree" ignored
}
