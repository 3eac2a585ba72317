#!/usr/bin/env bash
# Linux 6.12: memory of unread data on a UNIX stream socket is charged to its sender.
#
# Expected: as for TCP, what a process has not read is in the receive memory of its own socket (r in ss -xm).
# Seen: the receiver has r 0 with 100,000 bytes to read; the sender's t (sk_wmem_alloc), which for TCP means "in the qdisc
# or the network card", holds all of it, until the receiver reads.
. "$(dirname "$0")/guest.bash"

cat >"$TEMP/program.py" <<'END'
from sockets import *
a, b = socket.socketpair(socket.AF_UNIX, socket.SOCK_STREAM)
a.setblocking(False)
sent = a.send(b'x' * 100000)
sender, receiver, unread = mem(a), mem(b), queued(b, SIOCINQ)
print('sent', sent, '; sender: t', sender['t'], 'w', sender['w'], '; receiver: r', receiver['r'], 'unread', unread)
got = 0
while got < sent: got += len(b.recv(65536))
after = mem(a)['t']
print('all read; sender: t', after)
good = unread == sent and receiver['r'] == 0 and sender['w'] == 0 and sender['t'] > sent and after == 0
print('AS DESCRIBED' if good else 'CHANGED')
END
guest linux-image-6.12.117+deb12-cloud-amd64 "" "$TEMP/program.py" | tee "$TEMP/seen"
grep -qx 'AS DESCRIBED' "$TEMP/seen"
