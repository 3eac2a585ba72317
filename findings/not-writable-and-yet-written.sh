#!/usr/bin/env bash
# Linux 6.12: poll() says that a TCP socket is not writable, and send() writes to it all the same.
#
# Expected: no POLLOUT means that a non-blocking send() gives EAGAIN.
# Seen: send() needs sk_wmem_queued below sk_sndbuf (w < tb in ss -m); poll() needs a third of the limit free. In between,
# poll() says no and send() takes the byte.
. "$(dirname "$0")/guest.bash"

cat >"$TEMP/program.py" <<'END'
from sockets import *
a, b = pair(rcvbuf=4096, sndbuf=60000)
a.setblocking(False)
# Until less than a third of the limit is free; the peer does not read.
for _ in range(1000):
    m = mem(a)
    if m['tb'] - m['w'] < m['w'] // 2:
        # Still so when all that can leave has left?
        time.sleep(0.5)
        m = mem(a)
        if m['tb'] - m['w'] < m['w'] // 2 and m['w'] < m['tb']: break
    a.send(b'x' * 2000)
poll = select.poll()
poll.register(a, select.POLLOUT)
events = poll.poll(0)
print('w', m['w'], 'of tb', m['tb'], '; poll() says', events, '; send() says', end=' ')
took = a.send(b'x')
print(took)
print('AS DESCRIBED' if events == [] and took == 1 else 'CHANGED')
END
guest linux-image-6.12.117+deb12-cloud-amd64 "" "$TEMP/program.py" | tee "$TEMP/seen"
grep -qx 'AS DESCRIBED' "$TEMP/seen"
