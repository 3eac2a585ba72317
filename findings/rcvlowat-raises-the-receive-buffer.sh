#!/usr/bin/env bash
# Linux 6.12: SO_RCVLOWAT raises the limit of the receive buffer, and does not give it back.
#
# Expected: SO_RCVLOWAT says when a reader is woken (socket(7): "the minimum number of bytes in the buffer until the socket
# layer will pass the data"); rb in ss -m is SO_RCVBUF's and autotuning's, and nothing has arrived that would tune it.
# Seen: on a socket that never set SO_RCVBUF, SO_RCVLOWAT 1000000 takes rb from 131,072 to more than 1,000,000 at once, and
# SO_RCVLOWAT 1 leaves it there. Where SO_RCVBUF was set before, rb stays, and getsockopt shows that half of it is all that
# SO_RCVLOWAT got.
. "$(dirname "$0")/guest.bash"

cat >"$TEMP/program.py" <<'END'
from sockets import *
def lowat(s, n): s.setsockopt(SOL, socket.SO_RCVLOWAT, n)
a, b = pair()
before = mem(b)['rb']
lowat(b, 1000000)
asked = mem(b)['rb']
lowat(b, 1)
after = mem(b)['rb']
c, d = pair()
d.setsockopt(SOL, socket.SO_RCVBUF, 50000)
locked = mem(d)['rb']
lowat(d, 1000000)
print('rb', before, '; with SO_RCVLOWAT 1000000', asked, '; with 1 again', after, '; after SO_RCVBUF', locked,
      'SO_RCVLOWAT 1000000 gives rb', mem(d)['rb'], 'and is', d.getsockopt(SOL, socket.SO_RCVLOWAT))
good = before == 131072 and asked > 1000000 and after == asked
good = good and mem(d)['rb'] == locked and d.getsockopt(SOL, socket.SO_RCVLOWAT) == locked // 2
print('AS DESCRIBED' if good else 'CHANGED')
END
guest linux-image-6.12.117+deb12-cloud-amd64 "" "$TEMP/program.py" | tee "$TEMP/seen"
grep -qx 'AS DESCRIBED' "$TEMP/seen"
