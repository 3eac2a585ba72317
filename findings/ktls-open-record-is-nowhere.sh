#!/usr/bin/env bash
# Linux 6.12 with kernel TLS: what send() took with MSG_MORE is in no w and in no SIOCOUTQ, and f is below 0.
#
# Expected: as of TCP without TLS, what send() has taken and the peer has not acknowledged is in Send-Q of ss (SIOCOUTQ) and in
# w of ss -m (sk_wmem_queued).
# Seen: a record that is not yet closed is kept above TCP. 16,000 bytes are taken, w and SIOCOUTQ are 0, and f (sk_forward_alloc)
# is more than 15,000 below 0, on a socket that is quiet. One more byte without MSG_MORE sends all of it. A program
# that waits for SIOCOUTQ 0 takes the data for delivered.
. "$(dirname "$0")/guest.bash"

cat >"$TEMP/program.py" <<'END'
from sockets import *
def state(s):
    m = mem(s)
    return m['w'], queued(s, SIOCOUTQ), m['f']
def more(tls):
    a, b = pair(rcvbuf=4096)
    if tls:
        keys(a, TLS_TX)
        keys(b, TLS_RX)
    took = a.send(b'x' * 16000, socket.MSG_MORE)
    time.sleep(3)
    seen, came = state(a), queued(b, SIOCINQ)
    print('TLS' if tls else 'TCP', ': send() took', took, '; w, SIOCOUTQ, f:', *seen, '; the peer can read', came)
    return took, seen, came, a, b
_, plain, _, _, _ = more(False)
took, held, came, a, b = more(True)
a.send(b'y')
got = 0
while got < 16001: got += len(b.recv(20000))
print('one byte more: the peer has read', got)
good = plain[0] > 0 and plain[1] > 0 and took == 16000 and held[:2] == (0, 0) and held[2] < -15000 and came == 0
print('AS DESCRIBED' if good else 'CHANGED')
END
guest linux-image-6.12.117+deb12-cloud-amd64 "gf128mul crypto_null ghash-generic gcm tls" "$TEMP/program.py" | tee "$TEMP/seen"
grep -qx 'AS DESCRIBED' "$TEMP/seen"
