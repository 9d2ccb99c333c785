#!/bin/sh
# Chromium on a network of its own, on which there is nothing but the bot's page: it breaks off all its requests when an
# address of its machine comes or goes, as with each container, and nothing from elsewhere could be loaded.
#
# usage: CHROMIUM=PROGRAM BOT_PORT=PORT BOT_SOCKET=PATH NODE=PROGRAM apart.sh ARGUMENT... (apart.ts does the rest)
here=$(dirname "$0")
[ "$(id -u)" = 0 ] || user=--map-root-user
# shellcheck disable=SC2016,SC2086
exec unshare ${user:-} --net -- sh -c 'ip link set lo up && exec "$@"' sh "$NODE" "$here/apart.ts" "$@"
