#!/usr/bin/env bash
# iproute2 6.1.0 and Linux's mptcp_diag: Send-Q and Recv-Q of `ss -M` are no queues.
#
# Expected: as of TCP, Send-Q is what was written and not acknowledged, Recv-Q what can be read.
# Seen, of a connection whose peer does not read: Send-Q 0 with megabytes written and not acknowledged (SIOCOUTQ says how
# many, and so does write_seq - snd_una in `ss -Mi`), and Recv-Q of the peer is its memory (r in `ss -Mm`), not the bytes
# that SIOCINQ says can be read.
#
# Needs a kernel with MPTCP, 5.18 or newer.
. "$(dirname "$0")/guest.bash"

cat >"$TEMP/program.py" <<'END'
import os, re, subprocess, sys
from sockets import *
MPTCP = 262
listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, MPTCP)
listener.bind(('127.0.0.1', 0))
listener.listen(1)
a = socket.socket(socket.AF_INET, socket.SOCK_STREAM, MPTCP)
a.connect(listener.getsockname())
b, _ = listener.accept()
a.setblocking(False)
last = time.time()
while time.time() - last < 2:
    try: a.send(b'x' * 65536); last = time.time()
    except BlockingIOError: time.sleep(0.05)
def ss(s):
    end = '%s:%d' % s.getsockname()
    text = subprocess.run([sys.argv[1], '-MmiOH', 'src', end], capture_output=True, text=True, check=True).stdout
    row = [line for line in text.splitlines() if end in line.split()[3]][0]
    recv_q, send_q = map(int, row.split()[1:3])
    number = lambda word: int(re.search(r'\b%s:([0-9a-f]+)' % word, row)[1], 16)
    r = int(re.search(r'\(r(\d+)', row)[1])
    return recv_q, send_q, number('write_seq') - number('snd_una'), r
_, send_q, by_numbers, _ = ss(a)
recv_q, _, _, r = ss(b)
print('kernel', os.uname().release)
print('sender: ss Send-Q', send_q, 'SIOCOUTQ', queued(a, SIOCOUTQ), 'write_seq - snd_una', by_numbers)
print('reader: ss Recv-Q', recv_q, 'r', r, 'SIOCINQ', queued(b, SIOCINQ))
wrong = send_q == 0 and by_numbers == queued(a, SIOCOUTQ) > 1 << 20 and recv_q >= r > queued(b, SIOCINQ) > 0
print('AS DESCRIBED' if wrong else 'CHANGED')
END
on_ss 6.1.0-3 "$TEMP/program.py" | tee "$TEMP/seen"
grep -qx 'AS DESCRIBED' "$TEMP/seen"
