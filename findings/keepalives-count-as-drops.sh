#!/usr/bin/env bash
# Linux 6.12: d in ss -m (sk_drops) goes up by one with each keepalive of an idle connection.
#
# Expected: drops are packets that the receiver had no room for, or that were damaged; on an idle connection d stays 0.
# Seen: a keepalive's sequence number is before what was acknowledged. The receiver answers it and drops it as out of its window,
# and that is counted like a loss: with TCP_KEEPINTVL 1, one drop a second, while every byte arrives.
. "$(dirname "$0")/guest.bash"

cat >"$TEMP/program.py" <<'END'
from sockets import *
a, b = pair()
a.sendall(b'x' * 1000)
got = len(b.recv(2000))
fresh = mem(b)['d']
for option, value in (socket.TCP_KEEPIDLE, 1), (socket.TCP_KEEPINTVL, 1): a.setsockopt(socket.IPPROTO_TCP, option, value)
a.setsockopt(SOL, socket.SO_KEEPALIVE, 1)
time.sleep(8)
idle = mem(b)['d']
a.sendall(b'x' * 1000)
got += len(b.recv(2000))
# tcpi_total_retrans (include/uapi/linux/tcp.h)
again = struct.unpack_from('I', a.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256), 100)[0]
sender = mem(a)['d']
print('d', fresh, '; after 8 s of keepalives and nothing else: d', idle, '; read', got, 'of 2000 bytes, sent again', again,
      '; sender: d', sender)
print('AS DESCRIBED' if idle >= 4 and got == 2000 and fresh == again == sender == 0 else 'CHANGED')
END
guest linux-image-6.12.117+deb12-cloud-amd64 "" "$TEMP/program.py" | tee "$TEMP/seen"
grep -qx 'AS DESCRIBED' "$TEMP/seen"
