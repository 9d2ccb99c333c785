# What a command has left to be mailed. Says for each file "file size name", NUL, and so many bytes; "left size name", NUL
# for one that is too much; "odd count", NUL when there are things that are no files; then "done", NUL.
exec 2>/dev/null
total=0 count=0 told=0
cd -P -- "/workspace/.outbox/$_THREADBOX_NUMBER" && [[ $PWD == "/workspace/.outbox/$_THREADBOX_NUMBER" ]] || exit
while IFS= read -r -d '' line; do
  size=${line%% *} name=${line#* }
  if ((size > _THREADBOX_FILE_BYTES || total + size > _THREADBOX_TOTAL_BYTES || count >= _THREADBOX_FILES)); then
    ((told++ >= 100)) || printf 'left %s\0' "$line"
    continue
  fi
  ((count++, total += size))
  printf 'file %s\0' "$line"
  # Exactly as many bytes as were said, also of a file that is being written.
  { cat -- "./$name"; exec cat /dev/zero; } | head -c "$size"
done < <(find . -mindepth 1 -type f -printf '%s %P\0' | sort -z -k 2)
odd=$(find . -mindepth 1 ! -type f ! -type d -printf x | head -c 1000)
[[ -z $odd ]] || printf 'odd %s\0' "${#odd}"
printf 'done\0'
cd /workspace/.outbox && ls -1 | grep -x '[0-9]*' | sort -n | head -n -20 | while IFS= read -r old; do rm -rf -- "./$old"; done
