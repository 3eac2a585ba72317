#!/usr/bin/env bash
# iproute2 6.1.0: `ss -ti` prints the peer's window (snd_wnd) as long as there is one, and no word of it when it is 0.
#
# Expected: snd_wnd:0, the one value of snd_wnd that says why nothing moves. It is in TCP_INFO.
# Seen: the word is missing, as on kernels before 5.4, which do not tell it.
. "$(dirname "$0")/guest.bash"

cat >"$TEMP/program.py" <<'END'
import os, subprocess, sys
from sockets import *
def ss(s):
    end = '%s:%d' % s.getsockname()
    return subprocess.run([sys.argv[1], '-tinOH', 'src', end, 'dst', '%s:%d' % s.getpeername()],
                          capture_output=True, text=True, check=True).stdout
def word(s): return [w for w in ss(s).split() if w.startswith('snd_wnd')]
# tcpi_snd_wnd (include/uapi/linux/tcp.h)
def window(s): return struct.unpack_from('I', s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256), 228)[0]
a, b = pair(rcvbuf=20000)
open_window, open_word = window(a), word(a)
a.setblocking(False)
end = time.time() + 20
while window(a) and time.time() < end:
    try: a.send(b'x' * 4096)
    except BlockingIOError: time.sleep(0.05)
shut_window, shut_word = window(a), word(a)
print('kernel', os.uname().release)
print('TCP_INFO', open_window, 'ss', open_word, '; TCP_INFO', shut_window, 'ss', shut_word)
same = open_word == ['snd_wnd:%d' % open_window] and open_window > 0
print('AS DESCRIBED' if same and (shut_window, shut_word) == (0, []) else 'CHANGED')
END
on_ss 6.1.0-3 "$TEMP/program.py" | tee "$TEMP/seen"
grep -qx 'AS DESCRIBED' "$TEMP/seen"
