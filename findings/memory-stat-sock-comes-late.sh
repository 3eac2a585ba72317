#!/usr/bin/env bash
# Linux 6.12: sock in a cgroup's memory.stat is older than the read of it: 0 half a second after sockets were charged with
# 100 kB, and 100 kB half a second after they were closed.
#
# Expected: a read of memory.stat collects what all CPUs have counted (cgroup_rstat_flush), so that it is exact when it is read,
# as SO_MEMINFO (ss -m) of the same sockets is.
# Seen: a read collects only when enough has changed in the cgroup (64 pages for each CPU); less than that waits for the
# collection of all, every 2 s. It is exact in the end.
. "$(dirname "$0")/guest.bash"

cat >"$TEMP/program.py" <<'END'
from sockets import *
import os, subprocess
TOP = '/sys/fs/cgroup'
subprocess.run(['/bin/busybox', 'mount', '-t', 'cgroup2', 'cgroup2', TOP], check=True)
open(TOP + '/cgroup.subtree_control', 'w').write('+memory')
os.mkdir(TOP + '/own')
open(TOP + '/own/cgroup.procs', 'w').write('0')
def sock(): return [int(line.split()[1]) for line in open(TOP + '/own/memory.stat') if line.startswith('sock ')][0]
up, down = [], []
for _ in range(6):
    a, b = pair()
    a.setblocking(False)
    a.send(b'x' * 100000)
    time.sleep(0.5)
    held, early = sum(m['r'] + m['w'] + m['f'] for m in (mem(a), mem(b))), sock()
    time.sleep(5)
    up.append((held, early, sock()))
    a.close()
    b.close()
    time.sleep(0.5)
    early = sock()
    time.sleep(5)
    down.append((early, sock()))
print('r + w + f, sock after 0.5 s, sock after 5 s:', up)
print('closed: sock after 0.5 s, after 5 s:', down)
# What is collected every 2 s is in time now and then.
good = all(held == last > 100000 for held, _, last in up) and all(last == 0 for _, last in down)
good = good and any(early == 0 for _, early, _ in up) and any(early > 100000 for early, _ in down)
print('AS DESCRIBED' if good else 'CHANGED')
END
GUEST_PACKAGES=libpython3.11-stdlib guest linux-image-6.12.117+deb12-cloud-amd64 "" "$TEMP/program.py" | tee "$TEMP/seen"
grep -qx 'AS DESCRIBED' "$TEMP/seen"
