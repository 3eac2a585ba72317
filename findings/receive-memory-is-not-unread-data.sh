#!/usr/bin/env bash
# Linux 6.12: r in ss -m (sk_rmem_alloc) does not fall while an application reads.
#
# Expected: r is the memory of what has not been read, so reading 95 % of it frees about 95 %.
# Seen: an skb is freed when its last byte is read. 20,000 bytes that came as one skb hold the same memory after 19,000 of
# them were read, and nothing after the rest was.
. "$(dirname "$0")/guest.bash"

cat >"$TEMP/program.py" <<'END'
from sockets import *
a, b = pair()
a.send(b'x' * 20000)
time.sleep(0.5)
full, unread = mem(b)['r'], queued(b, SIOCINQ)
b.recv(19000)
held, left = mem(b)['r'], queued(b, SIOCINQ)
b.recv(1000)
empty = mem(b)['r']
print('r', full, 'for', unread, 'unread; r', held, 'for', left, 'unread; r', empty, 'for 0')
print('AS DESCRIBED' if (unread, left, empty) == (20000, 1000, 0) and held == full > 20000 else 'CHANGED')
END
guest linux-image-6.12.117+deb12-cloud-amd64 "" "$TEMP/program.py" | tee "$TEMP/seen"
grep -qx 'AS DESCRIBED' "$TEMP/seen"
