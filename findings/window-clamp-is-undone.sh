#!/usr/bin/env bash
# Linux 6.12: TCP_WINDOW_CLAMP holds until data arrives; then the kernel puts a larger one in its place.
#
# Expected: "Bound the size of the advertised window to this value" (tcp(7)): 20,000 as long as the socket lives, above all when
# SO_RCVBUF is set as well, which ends autotuning.
# Seen: whenever the kernel finds that packets hold another share of payload than it took them to, and whenever autotuning raises
# the receive buffer (rb in ss -m), it sets the clamp to what the buffer allows, and the old one is forgotten. After 20 MB,
# getsockopt gives millions, and nearly 200,000 with SO_RCVBUF 100000; the peer was offered more than six times the clamp.
. "$(dirname "$0")/guest.bash"

cat >"$TEMP/program.py" <<'END'
from sockets import *
import threading
TCP, CLAMP, TOTAL = socket.IPPROTO_TCP, socket.TCP_WINDOW_CLAMP, 20000000
# tcpi_snd_wnd (include/uapi/linux/tcp.h)
def window(s): return struct.unpack_from('I', s.getsockopt(TCP, socket.TCP_INFO, 256), 228)[0]
def clamped(rcvbuf):
    a, b = pair(rcvbuf)
    b.setsockopt(TCP, CLAMP, 20000)
    asked, rb = b.getsockopt(TCP, CLAMP), mem(b)['rb']
    thread = threading.Thread(target=a.sendall, args=(b'x' * TOTAL,))
    thread.start()
    got = offered = 0
    while got < TOTAL:
        got += len(b.recv(65536))
        # The first windows are older than the clamp.
        if got > TOTAL // 2: offered = max(offered, window(a))
    thread.join()
    result = asked, b.getsockopt(TCP, CLAMP), offered
    print('SO_RCVBUF', rcvbuf, ': clamp', asked, 'rb', rb, '; after', got, 'bytes: clamp', result[1], 'rb', mem(b)['rb'],
          '; offered to the peer: up to', offered)
    return result
tuned, fixed = clamped(None), clamped(100000)
good = tuned[0] == 20000 and tuned[1] > 200000 and tuned[2] > 200000
good = good and fixed[0] == 20000 and min(fixed[1:]) > 100000
print('AS DESCRIBED' if good else 'CHANGED')
END
GUEST_PACKAGES=libpython3.11-stdlib guest linux-image-6.12.117+deb12-cloud-amd64 "" "$TEMP/program.py" | tee "$TEMP/seen"
grep -qx 'AS DESCRIBED' "$TEMP/seen"
