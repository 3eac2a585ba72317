#!/usr/bin/env bash
# Linux 6.12: once the peer has closed, TCP_INQ says one byte more than FIONREAD, and 1 where there is nothing left to read.
#
# Expected: TCP_INQ's control message says how many bytes are left after this recvmsg(), as FIONREAD (SIOCINQ) and Recv-Q would.
# Seen: it counts the FIN. With 10 bytes and a FIN, after reading 4 it says 7 where FIONREAD says 6; at the end of the stream,
# where recvmsg() gives nothing, it says 1 and FIONREAD 0. A reader that sizes its next buffer by it is off by one.
. "$(dirname "$0")/guest.bash"

cat >"$TEMP/program.py" <<'END'
from sockets import *
TCP_INQ = 36
def receive(s, n):
    data, control, _, _ = s.recvmsg(n, 100)
    left = [struct.unpack('i', value)[0] for level, kind, value in control if (level, kind) == (socket.IPPROTO_TCP, TCP_INQ)]
    return len(data), left, queued(s, SIOCINQ)
seen = []
for close in False, True:
    a, b = pair()
    b.setsockopt(socket.IPPROTO_TCP, TCP_INQ, 1)
    a.send(b'x' * 10)
    if close: a.shutdown(socket.SHUT_WR)
    time.sleep(0.5)
    seen.append([receive(b, 4), receive(b, 6)] + ([receive(b, 6)] if close else []))
    print('the peer has', 'sent 10 bytes' + (' and closed' if close else ''), '; read, TCP_INQ, FIONREAD:', seen[-1])
good = seen == [[(4, [6], 6), (6, [0], 0)], [(4, [7], 6), (6, [1], 0), (0, [1], 0)]]
print('AS DESCRIBED' if good else 'CHANGED')
END
guest linux-image-6.12.117+deb12-cloud-amd64 "" "$TEMP/program.py" | tee "$TEMP/seen"
grep -qx 'AS DESCRIBED' "$TEMP/seen"
