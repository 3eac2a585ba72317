#!/usr/bin/env bash
# Linux 6.12: lowering SO_RCVBUF takes back a window that was promised to the peer already.
#
# Expected: a receiver never shrinks the window it has offered (RFC 9293, 3.8.6.2.1: SHOULD NOT), unless the sysctl
# net.ipv4.tcp_shrink_window allows it (0 here); what is in flight fits.
# Seen: with data unread, SO_RCVBUF 8192 and data arriving, the peer sees a window of 0 though it was offered more than
# that, while bytes are in flight that were inside it.
. "$(dirname "$0")/guest.bash"

cat >"$TEMP/program.py" <<'END'
from sockets import *
def snd_wnd(s): return struct.unpack_from('I', s.getsockopt(6, 11, 256), 228)[0]
a, b = pair()
a.setblocking(False)
sent = 0
while sent < 40000: sent += a.send(b'x' * 4000)
time.sleep(0.3)
offered, unacked = snd_wnd(a), queued(a, SIOCOUTQ)
b.setsockopt(SOL, socket.SO_RCVBUF, 8192)
try:
    while True: a.send(b'y' * 65536)
except BlockingIOError: pass
time.sleep(1.5)
now = snd_wnd(a)
print('shrink_window', open('/proc/sys/net/ipv4/tcp_shrink_window').read().strip(),
      '; window offered', offered, 'with', unacked, 'unacknowledged; after SO_RCVBUF 8192:', now,
      'with', queued(a, SIOCOUTQ), 'to send; receiver', {k: mem(b)[k] for k in ('r', 'rb', 'd')}, 'Recv-Q', queued(b, SIOCINQ))
good = offered > 20000 and now == 0 and queued(b, SIOCINQ) < sent + offered
print('AS DESCRIBED' if good else 'CHANGED')
END
guest linux-image-6.12.117+deb12-cloud-amd64 "" "$TEMP/program.py" | tee "$TEMP/seen"
grep -qx 'AS DESCRIBED' "$TEMP/seen"
