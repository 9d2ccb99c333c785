# Puts the files of a mail where its command finds them. They come on standard input: "size name", NUL, and so many bytes;
# the last is "end". Says `done`, or why it could not be done.
inbox=/workspace/.inbox dir=/workspace/.inbox/$_THREADBOX_NUMBER
fail() {
  printf '%s' "$1"
  exit
}
umask 022
# Not through a link that a command has put there.
[[ -d $inbox && ! -L $inbox ]] || { rm -rf -- "$inbox" && mkdir -- "$inbox"; } || fail 'no room for the files'
# What was half there after a crash.
rm -rf -- "$dir" && mkdir -- "$dir" && cd -P -- "$dir" || fail 'no room for the files'
while IFS= read -r -d '' line; do
  [[ $line != end ]] || break
  name=${line#* }
  head -c "${line%% *}" >"./$name" && [[ $(stat -c %s -- "./$name") == "${line%% *}" ]] || fail 'no room for the files'
done
[[ $line == end ]] || exit
# Those of commands long ago.
cd "$inbox" && ls -1 | grep -x '[0-9]*' | sort -n | head -n -20 | while IFS= read -r old; do rm -rf -- "./$old"; done
printf 'done'
