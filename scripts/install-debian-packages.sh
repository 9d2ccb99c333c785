#!/bin/sh
# Installs Debian packages, as root, without leaving a new network service behind.
#
# usage: install-debian-packages.sh PACKAGE...
set -eu
export DEBIAN_FRONTEND=noninteractive LC_ALL=C
policy=/usr/sbin/policy-rc.d
mark='# Made by Threadbox while it installs packages'

# A policy of our own may be left from a run that was killed; anybody else's stays.
grep -qs "^$mark" "$policy" && rm -f "$policy"
ours=
forbid_services() {
  [ -e "$policy" ] && return
  printf '#!/bin/sh\n%s\nexit 101\n' "$mark" >"$policy"
  chmod 0755 "$policy"
  ours=yes
}
allow_services() {
  [ -z "$ours" ] || rm -f "$policy"
  ours=
}
trap allow_services EXIT
trap 'exit 1' INT TERM HUP

install() {
  apt-get -q -y --no-install-recommends -o DPkg::Lock::Timeout=300 -o Dpkg::Options::=--force-confold install "$@"
}

apt-get -q -o DPkg::Lock::Timeout=300 update

# With systemd the Docker Engine is run by the system, as everybody expects; without it Threadbox runs one.
services=
# A server that somebody else has set up here goes on as it did.
new_service() {
  program=$1
  shift
  [ -e "$program" ] || services="$services $*"
}
for package in "$@"; do
  case $package in
  # Debian 12 and before have the client in docker.io.
  docker-cli) apt-cache show docker-cli >/dev/null 2>&1 || package=docker.io ;;
  esac
  case $package in
  docker.io) [ -d /run/systemd/system ] && { install docker.io; continue; } ;;
  postfix)
    # Nothing is to be configured for the whole machine.
    echo 'postfix postfix/main_mailer_type select No configuration' | debconf-set-selections || true
    new_service /usr/sbin/postfix postfix.service
    ;;
  redis-server) new_service /usr/bin/redis-server redis-server.service ;;
  squid-openssl) new_service /usr/sbin/squid squid.service ;;
  dovecot-*) new_service /usr/sbin/dovecot dovecot.socket dovecot.service ;;
  esac
  packages="${packages:-} $package"
done
[ -n "${packages:-}" ] || exit 0

forbid_services
# Names of packages are single words.
# shellcheck disable=SC2086
install $packages
# Neither now nor after the next start of the machine: they would listen to everybody.
if [ -n "$services" ] && command -v systemctl >/dev/null; then
  # shellcheck disable=SC2086
  systemctl disable $services || true
elif [ -n "$services" ]; then
  for service in $services; do
    name=${service%.*}
    [ -e "/etc/init.d/$name" ] && update-rc.d "$name" disable || true
  done
fi
