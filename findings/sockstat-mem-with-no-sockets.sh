#!/usr/bin/env bash
# Linux 6.12: mem of TCP in /proc/net/sockstat is 0 with sockets that hold memory, and not 0 when there are no sockets.
#
# Expected: mem is the pages that TCP's sockets have charged (r + w + f in ss -m), which tcp_mem limits.
# Seen: each CPU keeps up to net.core.mem_pcpu_rsv pages (256, 1 MiB) to itself, charged or freed, before it tells the number that
# is shown. 240 pages of one CPU are not in it; 256 that were freed on two CPUs are still in it when no socket is left.
. "$(dirname "$0")/guest.bash"

cat >"$TEMP/program.py" <<'END'
from sockets import *
import os
def shown():
    words = [line for line in open('/proc/net/sockstat') if line.startswith('TCP:')][0].split()
    return int(words[words.index('inuse') + 1]), int(words[words.index('mem') + 1])
def charged(): return sum(m['r'] + m['w'] + m['f'] for m in (mem(s) for p in pairs for s in p)) // 4096
rsv = open('/proc/sys/net/core/mem_pcpu_rsv').read().strip()
os.sched_setaffinity(0, [0])
pairs, hidden = [], 0
# Until the first charges are shown.
while not shown()[1] and len(pairs) < 200:
    hidden = charged()
    a, b = pair()
    a.setblocking(False)
    a.send(b'x' * 30000)
    time.sleep(0.05)
    pairs.append((a, b))
held, (count, mem_shown) = charged(), shown()
for n, (a, b) in enumerate(pairs):
    os.sched_setaffinity(0, [n % 2])
    for s in a, b: s.close()
time.sleep(1)
left = shown()
print('mem_pcpu_rsv', rsv, 'pages; mem 0 with', hidden, 'pages held; mem', mem_shown, 'with', held, 'pages held by', count,
      'sockets; all closed, on two CPUs: sockets', left[0], 'mem', left[1])
print('AS DESCRIBED' if hidden > 200 and held > 200 and left[0] == 0 and left[1] > 100 else 'CHANGED')
END
guest linux-image-6.12.117+deb12-cloud-amd64 "" "$TEMP/program.py" | tee "$TEMP/seen"
grep -qx 'AS DESCRIBED' "$TEMP/seen"
