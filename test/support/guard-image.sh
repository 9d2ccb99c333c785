# Makes a small image of this machine's own iptables and shell, in an engine: what a helper container needs.
#
# usage: guard-image.sh DOCKER_HOST NAME
names=$(printf '%s\n' ip{,6}tables{,-restore})
files=$(printf '%s\n' /bin/{sh,cat} /sbin/xtables-nft-multi $(printf '/usr/sbin/%s\n/etc/alternatives/%s\n/usr/sbin/%s\n' \
  $(for name in $names; do echo "$name $name ${name/tables/tables-nft}"; done)) /usr/lib/*/xtables/*.so)
{
  printf '%s\n' /{bin,sbin,lib,lib64,proc,sys,dev,run,etc}
  ldd $(ls $files 2>/dev/null) 2>/dev/null | grep -oE '/[^ ]+[^ :]'
  printf '%s\n' $files
} | while read -r path; do
  [[ -e $path ]] || continue
  if [[ $path =~ ^/(bin|sbin|lib|lib64|proc|sys|dev|run|etc)$ ]]; then
    echo "$path"
  else
    for one in "$path" $([[ ! -L $path ]] || readlink -e "$path") ; do echo "$(realpath "${one%/*}/")/${one##*/}"; done
  fi
done | sed 's,^//*,,' | sort -u | tar --directory / --create --no-recursion --files-from - |
  docker --host "$1" import - "$2"
