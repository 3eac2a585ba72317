#!/usr/bin/env bash
# Linux 6.12 and iproute2 6.1.0: in a network namespace without any socket, /proc/net/sockstat has memory, and `ss -s` has closed
# TCP sockets.
#
# Expected: /proc/net/ is of the reader's network namespace, each number of it; a new namespace has none.
# Seen: of the line TCP, inuse is of the namespace, alloc and mem are of the whole machine. ss -s takes alloc less those in use to
# be closed, so it shows the sockets of other namespaces as closed ones.
. "$(dirname "$0")/guest.bash"

cat >"$TEMP/program.py" <<'END'
from sockets import *
import os, re, subprocess
def line(): return [l.strip() for l in open('/proc/net/sockstat') if l.startswith('TCP:')][0]
def number(text, word): return int(re.search(word + r' (\d+)', text)[1])
pairs = [pair() for _ in range(10)]
for a, b in pairs:
    a.setblocking(False)
    try:
        while True: a.send(b'x' * 65536)
    except BlockingIOError: pass
print(subprocess.run(['/bin/ss', '-V'], capture_output=True, text=True).stdout.strip())
print('here:', line())
script = 'cat /proc/net/sockstat; ss -tan | wc -l; ss -s'
inside = subprocess.run(['/bin/busybox', 'unshare', '-n', '/bin/busybox', 'sh', '-c', script],
                        capture_output=True, text=True, check=True).stdout
tcp = re.search('^TCP: inuse .*', inside, re.M)[0]
summary = re.search(r'^TCP: .*estab.*', inside, re.M)[0]
lines = re.search(r'^\d+$', inside, re.M)[0]
print('in a new namespace:', tcp)
print('ss -tan there:', int(lines) - 1, 'sockets; ss -s there:', summary)
good = number(tcp, 'inuse') == 0 and number(tcp, 'alloc') == 20 and number(tcp, 'mem') > 1000
print('AS DESCRIBED' if good and lines == '1' and number(summary, 'closed') == 20 else 'CHANGED')
END
GUEST_PACKAGES="libpython3.11-stdlib iproute2=6.1.0-3"
guest linux-image-6.12.117+deb12-cloud-amd64 "" "$TEMP/program.py" | tee "$TEMP/seen"
grep -qx 'AS DESCRIBED' "$TEMP/seen"
