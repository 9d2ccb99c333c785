#!/bin/sh
# Makes the root file system of the workspace image, as root, and writes it to standard output as a tar.
#
# usage: build-image.sh WORK_DIR SUITE ARCH MIRROR SECURITY_MIRROR NODE_BINARY NPM_TARBALL STALL_SECONDS
#
# A download that stands still for STALL_SECONDS is begun again.
#
# Lines for a person go to standard error. Standard input is the leash: when it ends, whatever still runs is killed
# and everything made on the way is removed, so that nothing is left behind however the caller dies.
set -eu

if [ "$1" != --inside ]; then
  work_dir=$1
  shift
  # The directory is always the same one, so that what a crash of the machine leaves is gone with the next build. The
  # lock is with all that we start, the cleaner too: nobody removes the directory of a successor.
  exec 8<"$work_dir"
  flock --timeout 60 8 || { echo "E: the build before this one does not end" >&2; exit 1; }
  name=threadbox-image.$(printf %s "$work_dir" | sha256sum | cut -c1-12)
  # /home is often mounted with nodev or noexec, where debootstrap cannot work.
  for parent in "$work_dir" /var/tmp; do
    root=$parent/$name
    rm -rf --one-file-system "$root"
    mkdir -m 0700 "$root"
    mknod "$root/probe" c 1 3 && true 2>/dev/null <"$root/probe" && break
    rm -rf "$root"
    root=
  done
  [ -n "$root" ] || { echo "E: neither $work_dir nor /var/tmp allows device files" >&2; exit 1; }
  rm "$root/probe"

  exec 3<&0 </dev/null
  # In a mount namespace of its own: debootstrap mounts and unmounts as it goes (and keeps a symbolic link to the
  # machine's own /proc for a while), of which nothing may ever reach, or outlive it on, the machine.
  setsid unshare --mount --propagation private sh "$0" --inside "$root" "$@" 3<&- &
  build=$!
  setsid sh -c '
    cat <&3 >/dev/null
    kill -KILL "-$1" 2>/dev/null
    # What was killed may still be writing for a moment.
    for try in 1 2 3 4 5 6 7 8 9; do
      rm -rf --one-file-system "$2" && break
      sleep 0.3
    done
  ' cleaner "$build" "$root" >/dev/null &
  exec 3<&-
  wait "$build"
  exit
fi

root=$2 suite=$3 arch=$4 mirror=$5 security_mirror=$6 node=$7 npm=$8 stall_seconds=$9
say() { echo "step: $*" >&2; }

if [ -z "${http_proxy:-}" ]; then
  eval "$(apt-config shell http_proxy Acquire::http::Proxy 2>/dev/null || true)"
  [ -z "${http_proxy:-}" ] || export http_proxy
fi

chmod 0755 "$root"
say "fetching and unpacking Debian $suite from $mirror"
packages=git,ca-certificates,curl,python3,make,patch,procps,jq,unzip,xz-utils,less,openssh-client,ripgrep,file,iptables
# debootstrap fetches with wget, which would wait 15 minutes for a connection that has died without a word. The user's own
# settings go last, and so before ours.
{
  printf 'timeout = %s\ntries = 5\n' "$stall_seconds"
  cat "${WGETRC:-${HOME:-/root}/.wgetrc}" 2>/dev/null || true
} >"$root/.wgetrc"
WGETRC=$root/.wgetrc debootstrap --variant=minbase --arch="$arch" --include="$packages" --foreign \
  "$suite" "$root" "$mirror" >&2
rm "$root/.wgetrc"
# Half of the time would be spent waiting for the disk, for a directory that a crash makes worthless anyway.
mkdir -p "$root/etc/dpkg/dpkg.cfg.d"
echo force-unsafe-io >"$root/etc/dpkg/dpkg.cfg.d/unsafe-io"
say "configuring Debian $suite"
chroot "$root" /debootstrap/debootstrap --second-stage >&2

cat >"$root/etc/apt/sources.list" <<LIST
deb $mirror $suite main
deb $mirror $suite-updates main
deb $security_mirror $suite-security main
LIST
say 'installing security updates'
printf '#!/bin/sh\nexit 101\n' >"$root/usr/sbin/policy-rc.d"
chmod 0755 "$root/usr/sbin/policy-rc.d"
cp /etc/resolv.conf "$root/etc/resolv.conf"
export DEBIAN_FRONTEND=noninteractive
if chroot "$root" apt-get -q update >&2; then
  chroot "$root" apt-get -q -y dist-upgrade >&2
else
  echo "W: no security updates: $security_mirror cannot be reached" >&2
fi
chroot "$root" apt-get clean
rm -rf "$root"/var/lib/apt/lists/* "$root"/var/cache/debconf/*-old "$root"/var/log/*.log "$root/debootstrap" \
  "$root/usr/sbin/policy-rc.d" "$root/etc/dpkg/dpkg.cfg.d/unsafe-io" "$root/etc/resolv.conf" "$root/etc/hostname"

say 'adding Node and npm'
install -m 0755 "$node" "$root/usr/local/bin/node"
mkdir -p "$root/usr/local/lib/node_modules/npm"
tar -xzf "$npm" -C "$root/usr/local/lib/node_modules/npm" --strip-components=1 --no-same-owner
ln -s ../lib/node_modules/npm/bin/npm-cli.js "$root/usr/local/bin/npm"
ln -s ../lib/node_modules/npm/bin/npx-cli.js "$root/usr/local/bin/npx"
chmod 0755 "$root"/usr/local/lib/node_modules/npm/bin/*.js

chroot "$root" useradd --uid 1000 --user-group --create-home --shell /bin/bash dev
install -d -m 0755 -o 1000 -g 1000 "$root/workspace"
# Mirrors are mounted where the bot keeps them, which may be below its /root.
chmod 0711 "$root/root"
# The mirror belongs to another user, and git would refuse to read it.
printf '[safe]\n\tdirectory = *\n' >"$root/etc/gitconfig"
echo 'threadbox-workspace' >"$root/etc/hostname"

say 'handing the image to the engine'
tar -C "$root" -c --numeric-owner --exclude='./dev/*' --exclude='./proc/*' --exclude='./sys/*' .
