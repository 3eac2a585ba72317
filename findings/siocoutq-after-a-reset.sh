#!/usr/bin/env bash
# Linux 6.12: SIOCOUTQ reports a full send queue on a socket that a reset has emptied.
#
# Expected: after RST the queues are gone, so SIOCOUTQ is 0, as sk_wmem_queued (w in ss -m) is.
# Seen: the ioctl is write_seq - snd_una, which a reset leaves alone: w is 0 and SIOCOUTQ is what it was before.
. "$(dirname "$0")/guest.bash"

cat >"$TEMP/program.py" <<'END'
from sockets import *
a, b = pair()
a.setblocking(False)
try:
    while True: a.send(b'x' * 65536)
except BlockingIOError: pass
time.sleep(0.5)
before = mem(a)['w'], queued(a, SIOCOUTQ)
# Closed with unread data: a RST.
b.close()
time.sleep(0.5)
after = mem(a)['w'], queued(a, SIOCOUTQ)
print('before the reset: w %d, SIOCOUTQ %d; after: w %d, SIOCOUTQ %d' % (before + after))
print('AS DESCRIBED' if after[0] == 0 and after[1] > 100000 and before[0] > 100000 else 'CHANGED')
END
guest linux-image-6.12.117+deb12-cloud-amd64 "" "$TEMP/program.py" | tee "$TEMP/seen"
grep -qx 'AS DESCRIBED' "$TEMP/seen"
