# Puts the files of a mail where its command finds them. They come on standard input: "size name", NUL, and so many bytes;
# the last is "end". Says `done`; `full`, or `unwritable` where it is not for want of room: then nothing of them is there.
inbox=/workspace/.inbox dir=/workspace/.inbox/$_THREADBOX_NUMBER part=/workspace/.inbox/.$_THREADBOX_NUMBER.part
fail() {
  read -r blocks files < <(stat -f -c '%a %d' /workspace)
  cd / && rm -rf -- "$part" "$dir"
  # So little is left where some more did not fit.
  if [[ -z $files ]] || ((blocks >= 256 && files > 0)); then printf unwritable; else printf full; fi
  exit
}
umask 022
# Not through a link that a command has put there.
[[ -d $inbox && ! -L $inbox ]] || { rm -rf -- "$inbox" && mkdir -- "$inbox"; } || fail
# What was half there after a crash.
rm -rf -- "$dir" "$inbox"/.*.part && mkdir -- "$part" && cd -P -- "$part" || fail
while IFS= read -r -d '' line; do
  [[ $line != end ]] || break
  name=${line#* }
  head -c "${line%% *}" >"./$name" && [[ $(stat -c %s -- "./$name") == "${line%% *}" ]] || fail
done
[[ $line == end ]] || exit
# A disk that has failed takes much before it says so.
shopt -s dotglob nullglob
placed=(./*)
((${#placed[@]} == 0)) || sync -d -- "${placed[@]}" || fail
mv -T -- "$part" "$dir" || fail
# Those of commands long ago.
cd "$inbox" && ls -1 | grep -x '[0-9]*' | sort -n | head -n -20 | while IFS= read -r old; do rm -rf -- "./$old"; done
printf 'done'
