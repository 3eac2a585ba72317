#!/usr/bin/env bash
# Linux 6.12: after a full receive queue was copied together (tcp_collapse), sk_forward_alloc stays below 0.
#
# Expected: what a quiet socket holds was charged to it before: f (sk_forward_alloc) is 0 or more, as `ss -m` prints it.
# Seen: with data unread, SO_RCVBUF lowered and data arriving, the kernel copies the packets into small ones
# (TcpExtTCPRcvCollapsed grows), which cost more than the old ones and are charged without a look at what is scheduled.
# f is below 0 from then until data is read, on a socket that is quiet and plain; ss prints it as more than 4 billion.
# r + f is whole pages all the same.
. "$(dirname "$0")/guest.bash"

cat >"$TEMP/program.py" <<'END'
from sockets import *
def collapsed():
    names, values = [l.split() for l in open('/proc/net/netstat') if l.startswith('TcpExt:')]
    return int(values[names.index('TCPRcvCollapsed')])
a, b = pair()
a.setblocking(False)
before = collapsed()
sent = 0
while sent < 113152: sent += a.send(b'x' * min(65536, 113152 - sent))
time.sleep(0.3)
b.setsockopt(SOL, socket.SO_RCVBUF, 4096)
try:
    while True: a.send(b'y' * 65536)
except BlockingIOError: pass
time.sleep(5)
one = mem(b)
time.sleep(5)
two = mem(b)
unread = queued(b, SIOCINQ)
print('collapsed', collapsed() - before, 'packets; receiver', {k: one[k] for k in ('r', 'rb', 'f')}, ', 5 s later',
      {k: two[k] for k in ('r', 'f')}, 'Recv-Q', unread, '; r + f is', (two['r'] + two['f']) / 4096, 'pages')
b.setblocking(False)
try:
    while b.recv(1 << 20): time.sleep(0.01)
except BlockingIOError: pass
print('after reading: f', mem(b)['f'])
good = collapsed() > before and one['f'] < 0 and two['f'] < 0 and (two['r'] + two['f']) % 4096 == 0
print('AS DESCRIBED' if good else 'CHANGED')
END
guest linux-image-6.12.117+deb12-cloud-amd64 "" "$TEMP/program.py" | tee "$TEMP/seen"
grep -qx 'AS DESCRIBED' "$TEMP/seen"
