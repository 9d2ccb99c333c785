/**
 * What is done as root to disk images, in sh: see disk-image.ts. Any of it can be cut off anywhere: the machine loses its
 * power, the engine ends a helper. So what is begun leaves a mark beside the image first, and who finds that one mends.
 *
 *   <name>.img.check   it is to be checked before it is used: it was attached anew. It has the superblock of before where it
 *                      was to grow.
 */
export const MARK = '.check';

/** So long may any of them take that reads little. */
export const LIMIT_MS = 120_000;
const MS_PER_GB = 30_000;

/** So long may a check of a disk take: that is as long as there are many files. */
export const checkLimitMs = (sizeBytes: number): number =>
  Math.round(LIMIT_MS + (sizeBytes / 2 ** 30) * MS_PER_GB);

/**
 * What a bot that was killed has begun goes on: one at a time is at an image. The file that becomes one is the same file
 * under another name.
 */
const alone = (file: string, limitMs: number): string =>
  `if [ -e "${file}" ]; then exec 9<"${file}"; flock -w ${Math.round(limitMs / 2_000)} 9 || { echo 'others are at work on this disk for too long' >&2; exit 1; }; fi
`;
/** By the file itself, whatever it is called where the device was made. */
const DEVICES_OF = `devices_of() { [ ! -e "$1" ] || losetup -j "$1" -n -O NAME; }
`;
/** Of files that somebody has removed: the kernel says so at the end of their path. A device may go meanwhile. */
const detachRemoved = (pattern: string): string => `for file in /sys/block/loop*/loop/backing_file; do
  { IFS= read -r name <"$file"; } 2>/dev/null || continue
  case $name in
    *${pattern}" (deleted)") device=\${file#/sys/block/} && losetup -d "/dev/\${device%%/*}" || [ ! -e "$file" ] ;;
  esac
done
`;
/** The directory lost+found would be root's, and in everybody's way who looks through all of the workspace. */
const NO_LOST_AND_FOUND = "debugfs -w -R 'rmdir lost+found'";

/** @param journal options that set its size, or none */
export const makeScript = (
  journal: string,
): string => `[ -e "$2" ] || { echo "the engine does not see $2, which the bot has made" >&2; exit 1; }
${alone('$2', LIMIT_MS)}${detachRemoved('"$4"')}[ ! -e "$1" ] || { echo "$1 is there already" >&2; exit 1; }
truncate -s 0 "$2"
truncate -s "$3" "$2"
mkfs.ext4 -q -F -b 4096 -I 256 -m 0 ${journal} -E lazy_itable_init=1,lazy_journal_init=1,nodiscard,root_owner=$5 "$2"
${NO_LOST_AND_FOUND} "$2" 2>/dev/null
mv -T -- "$2" "$1"
losetup -f --show "$1"`;

/**
 * 1: something was mended, as the check misses lost+found. One that is mounted is refused, so it was sound before. What cannot
 * be mended without a person to decide is for one to see to; but for what was to grow: there it is our doing. resize2fs writes a
 * superblock piece by piece, so that one can be half the old and half the new, and no program reads it then.
 */
const CHECK = `check() {
  status=0
  words=$(e2fsck "$@" "$device" 2>&1) || status=$?
  case $words in *' is in use'* | *' is mounted'*) words= status=mounted ;; esac
}
mend() {
  check -p
  [ $status != mounted ] || return 0
  if [ $status -ge 4 ] && [ -s "$mark" ]; then
    check -f -y
    case $words in
      *'checksum does not match superblock'*)
        dd if="$mark" of="$device" bs=1024 seek=1 count=1 conv=notrunc,fsync 2>/dev/null
        check -f -y
        ;;
    esac
  fi
  if [ $status -le 1 ]; then words=; fi
  # What the mark holds is of no use any more: from here on the disk is written to.
  truncate -c -s 0 "$mark"
  if [ $status -lt 8 ]; then
    ${NO_LOST_AND_FOUND} "$device" >/dev/null 2>&1 || true
    rm -f -- "$mark"
  fi
}
`;

/** Attached anew, it may have been cut off in the middle of a write. Where there is no room for the mark it is checked all the same. */
export const attachScript = (
  limitMs: number,
): string => `${alone('$1', limitMs)}${DEVICES_OF}${CHECK}mark=$1${MARK} words= isNew=
devices=$(devices_of "$1")
device=$(echo "$devices" | head -n 1)
if [ -z "$device" ]; then
  isNew=yes
  touch -- "$mark" 2>/dev/null || true
  device=$(losetup -f --show "$1")
fi
if [ -n "$isNew" ] || [ -e "$mark" ]; then mend; fi
echo "$device"
printf %s "$words"`;

/**
 * resize2fs wants one that was just checked. A mounted one is refused there, and so is never attached twice. `losetup -c` would want a
 * capability that a helper does not have. What they say of what went well is kept: words are of a script that has failed, and one that
 * was cut off has none.
 */
export const growScript = (limitMs: number): string => `${alone('$1', limitMs)}mark=$1${MARK}
touch -- "$mark"
words=$(e2fsck -f -p "$2" 2>&1) || [ $? = 1 ] || { echo "$words" >&2; exit 1; }
dd if="$2" of="$mark.new" bs=1024 skip=1 count=1 conv=fsync 2>/dev/null
mv -T -- "$mark.new" "$mark"
losetup -d "$2"
device=$(losetup -f --show "$1")
words=$(resize2fs "$device" 2>&1) || { echo "$words" >&2; exit 1; }
${NO_LOST_AND_FOUND} "$device" 2>/dev/null
rm -f -- "$mark"
echo "$device"`;

/** One that was detached meanwhile is fine. */
export const DETACH = `${alone('$1', LIMIT_MS)}${DEVICES_OF}devices=$(devices_of "$1")
for device in $devices; do
  losetup -d "$device" || if devices_of "$1" | grep -qx "$device"; then exit 1; fi
done
${detachRemoved('"$2"')}`;

/** Says of which images the devices are: what comes first is a path in their directory. */
export const LOOK = `${DEVICES_OF}first=$1 end=$2
${detachRemoved('"$end"*.img')}for image in "\${first%/*}"/*.img; do
  for device in $(devices_of "$image"); do echo "$device $image"; done
done`;
