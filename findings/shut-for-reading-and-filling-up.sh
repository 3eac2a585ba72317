#!/usr/bin/env bash
# Linux 6.12: a TCP socket after shutdown(SHUT_RD) goes on receiving, until its receive buffer is full.
#
# Expected: "further receptions will be disallowed" (shutdown(2)): what comes is thrown away or reset, recv() gives the end of
# the stream, and no memory is held for reading.
# Seen: recv() gives 0 only while there is nothing to read. What the peer sends later is acknowledged and queued, r in ss -m goes up
# to rb, recv() gives it, and the window that the peer is offered closes as any slow reader's does.
. "$(dirname "$0")/guest.bash"

cat >"$TEMP/program.py" <<'END'
from sockets import *
a, b = pair()
b.shutdown(socket.SHUT_RD)
first, empty = b.recv(100), mem(b)['r']
a.setblocking(False)
sent = 0
try:
    while True: sent += a.send(b'x' * 65536)
except BlockingIOError: pass
time.sleep(1)
full, unread, waits = mem(b), queued(b, SIOCINQ), queued(a, SIOCOUTQ)
print('shut for reading: recv()', first, 'r', empty, '; after', sent, 'bytes were sent: r', full['r'], 'of rb', full['rb'],
      'Recv-Q', unread, '; the peer cannot send', waits)
got = len(b.recv(1 << 20))
print('recv() gives', got, 'of them')
good = first == b'' and empty == 0 and full['r'] > full['rb'] // 2 and got > 10000 and unread > 50000 and waits > 0
print('AS DESCRIBED' if good else 'CHANGED')
END
guest linux-image-6.12.117+deb12-cloud-amd64 "" "$TEMP/program.py" | tee "$TEMP/seen"
grep -qx 'AS DESCRIBED' "$TEMP/seen"
