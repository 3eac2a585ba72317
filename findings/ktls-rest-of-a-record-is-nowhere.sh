#!/usr/bin/env bash
# Linux 6.12 with kernel TLS: after a read of part of a record, the rest of it is in no Recv-Q, in no FIONREAD and in no r.
#
# Expected: kernel TLS is a layer on TCP; what was not read counts as unread, as ciphertext or as plaintext, and is in
# the receive memory.
# Seen: 16,000 bytes come as one record. Before the first read FIONREAD says 16,029 (the record as it is on the wire). A read of
# 1,000 decrypts all of it and gives the ciphertext back: FIONREAD 0, Recv-Q of ss 0, r and f 0, while poll() says that the
# socket is readable and the next recv() gives 15,000.
. "$(dirname "$0")/guest.bash"

cat >"$TEMP/program.py" <<'END'
from sockets import *
import subprocess
a, b = pair()
keys(a, TLS_TX)
keys(b, TLS_RX)
a.send(b'x' * 16000)
time.sleep(0.5)
def state():
    row = subprocess.run(['/bin/ss', '-tnH', 'sport', '= :%d' % b.getsockname()[1]], capture_output=True, text=True).stdout
    recv_q = [int(line.split()[1]) for line in row.splitlines() if 'ESTAB' in line]
    m = mem(b)
    return queued(b, SIOCINQ), recv_q, m['r'], m['f']
print(subprocess.run(['/bin/ss', '-V'], capture_output=True, text=True).stdout.strip())
before = state()
b.recv(1000)
after = state()
poll = select.poll()
poll.register(b, select.POLLIN)
readable = bool(poll.poll(0))
rest = len(b.recv(20000))
print('FIONREAD, Recv-Q, r, f:', *before, '; after a read of 1,000:', *after, '; readable', readable, '; recv() gave', rest)
good = before[0] == 16029 and before[2] > 16000 and after == (0, [0], 0, 0) and readable and rest == 15000
print('AS DESCRIBED' if good else 'CHANGED')
END
GUEST_PACKAGES="libpython3.11-stdlib iproute2=6.1.0-3"
guest linux-image-6.12.117+deb12-cloud-amd64 "gf128mul crypto_null ghash-generic gcm tls" "$TEMP/program.py" | tee "$TEMP/seen"
grep -qx 'AS DESCRIBED' "$TEMP/seen"
