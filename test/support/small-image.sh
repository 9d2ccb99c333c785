# Makes a small image of what containers need out of a large one, in another engine: a copy of the whole takes half a
# minute.
#
# usage: SMALL_OF=IMAGE small-image.sh FROM_HOST TO_HOST NAME
docker --host "$1" run --rm --interactive --network none --user 0 "$SMALL_OF" bash -s <<'INSIDE' |
list() { cat $(printf "/var/lib/dpkg/info/%s.list\n" "$@") $(printf "/var/lib/dpkg/info/%s:*.list\n" "$@") 2>/dev/null; }
files=$(list bash dash coreutils findutils grep sed tar git procps util-linux gzip | grep -E '^(/usr)?/(s?bin|lib)/' |
  grep -vE '/doc/|/man/|perl|systemd')
{
  printf '%s\n' /{bin,sbin,lib,lib64,tmp,root,home,workspace,var,var/tmp,usr,usr/bin,usr/lib,proc,sys,dev,run}
  printf '%s\n' /etc /etc/{passwd,group} /home/* "$files"
  # The libraries they are linked with.
  ldd $(grep -E '^(/usr)?/s?bin/|git-core/git-remote-http$' <<<"$files") 2>/dev/null | grep -oE '/[^ ]+'
} | while read -r path; do
  if [[ $path =~ ^/(bin|sbin|lib|lib64)$ ]]; then
    echo "$path"
  elif [[ -e $path ]]; then
    # /lib and the like are links.
    echo "$(realpath "${path%/*}/")/${path##*/}"
    [[ ! -L $path ]] || realpath "$path"
  fi
done | sed 's,^//*,,' | sort -u | tar --directory / --create --no-recursion --files-from -
INSIDE
  docker --host "$2" import --change 'WORKDIR /workspace' --change 'ENV PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin' - "$3"
