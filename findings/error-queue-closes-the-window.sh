#!/usr/bin/env bash
# Linux 6.12: TX timestamps that nobody reads close the RECEIVE window of a socket whose receive queue is empty.
#
# Expected: the error queue is no data; a peer can always send to a socket that has read everything.
# Seen: messages on the error queue count in sk_rmem_alloc (r in ss -m). With SO_RCVBUF 40,000 they fill it, the
# receiver's window goes to 0, and the peer's bytes stay unacknowledged, with Recv-Q 0. After the error queue is read,
# data flows again.
. "$(dirname "$0")/guest.bash"

cat >"$TEMP/program.py" <<'END'
import fcntl, socket, struct, time
SO_MEMINFO, SO_TIMESTAMPING = 55, 37
def rmem(s): return struct.unpack('9I', s.getsockopt(socket.SOL_SOCKET, SO_MEMINFO, 36))[0]
def queued(s, what): return struct.unpack('i', fcntl.ioctl(s, what, b'\0' * 4))[0]
SIOCINQ, SIOCOUTQ = 0x541B, 0x5411
listener = socket.create_server(('127.0.0.1', 0))
listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 40000)
peer = socket.create_connection(listener.getsockname())
s, _ = listener.accept()
# Software TX timestamps, with the packet: SOF_TIMESTAMPING_TX_SOFTWARE | SOFTWARE | TX_SCHED | TX_ACK.
s.setsockopt(socket.SOL_SOCKET, SO_TIMESTAMPING, 1 << 1 | 1 << 4 | 1 << 8 | 1 << 9)
for _ in range(400):
    s.send(b'x' * 500)
    peer.recv(500)
time.sleep(0.5)
print('receiver: SO_RCVBUF doubled', s.getsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF),
      'r', rmem(s), 'Recv-Q', queued(s, SIOCINQ))
peer.setblocking(False)
try:
    while True: peer.send(b'y' * 20000)
except BlockingIOError: pass
read = 0
s.setblocking(False)
for _ in range(40):
    time.sleep(0.05)
    try: read += len(s.recv(1 << 20))
    except BlockingIOError: pass
before = (rmem(s), queued(s, SIOCINQ), queued(peer, SIOCOUTQ))
print('the receiver read all that came, for 2 s: r', before[0], 'Recv-Q', before[1], '; the peer cannot send', before[2])
stamps = 0
while True:
    try: s.recvmsg(65536, 65536, socket.MSG_ERRQUEUE)
    except BlockingIOError: break
    stamps += 1
for _ in range(100):
    time.sleep(0.05)
    try: read += len(s.recv(1 << 20))
    except BlockingIOError: pass
after = (rmem(s), queued(s, SIOCINQ), queued(peer, SIOCOUTQ))
print('after reading', stamps, 'stamps: r', after[0], 'Recv-Q', after[1], '; the peer cannot send', after[2])
stuck = before[1] == 0 and before[2] > 100000 and before[0] > 40000
print("AS DESCRIBED" if stuck and after[2] < before[2] else "CHANGED")
END
guest linux-image-6.12.117+deb12-cloud-amd64 "" "$TEMP/program.py" | tee "$TEMP/seen"
grep -qx 'AS DESCRIBED' "$TEMP/seen"
