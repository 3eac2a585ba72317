#!/usr/bin/env bash
# Linux 6.12: what MSG_ZEROCOPY has queued is in w (sk_wmem_queued) and is charged to no one; what sendfile has queued is charged
# like a copy.
#
# Expected: w in ss -m is memory that the socket's cgroup and tcp_mem are charged with. Of pages that TCP did not allocate, both
# ways of sending are alike: either they are charged or they are not.
# Seen: 1 MiB sent by send(), by sendfile and with MSG_ZEROCOPY each raises w by more than 1 MiB. The cgroup's sock (memory.stat)
# grows as much for send() and for sendfile, whose pages are the page cache's and charged as file already; for MSG_ZEROCOPY
# it hardly grows.
. "$(dirname "$0")/guest.bash"

cat >"$TEMP/program.py" <<'END'
from sockets import *
import mmap, os, subprocess
SO_ZEROCOPY, MSG_ZEROCOPY, SO_SNDBUFFORCE, SIZE = 60, 0x4000000, 32, 1 << 20
TOP = '/sys/fs/cgroup'
subprocess.run(['/bin/busybox', 'mount', '-t', 'cgroup2', 'cgroup2', TOP], check=True)
open(TOP + '/cgroup.subtree_control', 'w').write('+memory')
os.mkdir(TOP + '/own')
open(TOP + '/own/cgroup.procs', 'w').write('0')
def sock():
    # memory.stat may be 2 s old.
    time.sleep(5)
    return [int(line.split()[1]) for line in open(TOP + '/own/memory.stat') if line.startswith('sock ')][0]
data = mmap.mmap(-1, SIZE)
data.write(b'x' * SIZE)
with open('/tmp/data', 'wb') as file: file.write(data)
file = open('/tmp/data', 'rb')
ways = {
    'send': lambda s, at: s.send(memoryview(data)[at:]),
    'sendfile': lambda s, at: os.sendfile(s.fileno(), file.fileno(), at, SIZE - at),
    'MSG_ZEROCOPY': lambda s, at: s.send(memoryview(data)[at:], MSG_ZEROCOPY),
}
seen = {}
for name, way in ways.items():
    a, b = pair()
    a.setsockopt(SOL, SO_ZEROCOPY, 1)
    a.setblocking(False)
    # Until nothing leaves anymore.
    a.setsockopt(SOL, SO_SNDBUFFORCE, 4 << 20)
    try:
        while True: a.send(b'y' * 65536)
    except BlockingIOError: pass
    charged, queue = sock(), mem(a)['w']
    a.setsockopt(SOL, SO_SNDBUFFORCE, 16 << 20)
    at = 0
    while at < SIZE: at += way(a, at)
    more = sock() - charged
    seen[name] = mem(a)['w'] - queue, more
    print(name, SIZE, 'bytes: w +%d, sock of the cgroup +%d' % seen[name])
    for s in a, b: s.close()
queued, charged = zip(*seen.values())
good = min(queued) >= SIZE and min(charged[:2]) >= SIZE and charged[2] < SIZE // 16
print('AS DESCRIBED' if good else 'CHANGED')
END
GUEST_PACKAGES=libpython3.11-stdlib guest linux-image-6.12.117+deb12-cloud-amd64 "" "$TEMP/program.py" | tee "$TEMP/seen"
grep -qx 'AS DESCRIBED' "$TEMP/seen"
