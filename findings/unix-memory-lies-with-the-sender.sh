#!/usr/bin/env bash
# Linux 6.12: memory of unread data on a UNIX stream socket is charged to its sender.
#
# Expected: as for TCP, what a process has not read is in the receive memory of its own socket (r in ss -xm).
# Seen: the receiver has r 0 with 100,000 bytes to read; the sender's t (sk_wmem_alloc), which for TCP means "in the qdisc
# or the network card", holds all of it, until the receiver reads.
. "$(dirname "$0")/guest.bash"

cat >"$TEMP/program.py" <<'END'
import fcntl, select, socket, struct, time
SOL, SO_MEMINFO, SIOCINQ, SIOCOUTQ = socket.SOL_SOCKET, 55, 0x541B, 0x5411
NAMES = ('r', 'rb', 't', 'tb', 'f', 'w', 'o', 'bl', 'd')
def mem(s): return dict(zip(NAMES, struct.unpack('9i', s.getsockopt(SOL, SO_MEMINFO, 36))))
def queued(s, what): return struct.unpack('i', fcntl.ioctl(s, what, b'\0' * 4))[0]
def pair(rcvbuf=None, sndbuf=None):
    listener = socket.create_server(('127.0.0.1', 0))
    if rcvbuf: listener.setsockopt(SOL, socket.SO_RCVBUF, rcvbuf)
    a = socket.socket()
    if sndbuf: a.setsockopt(SOL, socket.SO_SNDBUF, sndbuf)
    a.connect(listener.getsockname())
    b, _ = listener.accept()
    return a, b
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
