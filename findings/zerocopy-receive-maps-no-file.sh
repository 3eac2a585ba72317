#!/usr/bin/env bash
# Linux 6.12: TCP_ZEROCOPY_RECEIVE maps no page of a file that the sender gave to sendfile.
#
# Expected: sendfile hands whole, aligned pages of the page cache to TCP, and over the loopback the receiver gets the very
# same pages; TCP_ZEROCOPY_RECEIVE maps whole, aligned pages. So the two together copy nothing.
# Seen: 0 bytes are mapped, and recv_skip_hint sends the reader to recv: pages that belong to a file are not mapped
# into a reader. The same bytes out of a pipe, by splice, are mapped.
. "$(dirname "$0")/guest.bash"

cat >"$TEMP/program.py" <<'END'
import ctypes, mmap, os, tempfile
from sockets import *
libc = ctypes.CDLL(None, use_errno=True)
libc.mmap.restype, libc.mmap.argtypes = ctypes.c_void_p, [ctypes.c_void_p, ctypes.c_size_t] + [ctypes.c_int] * 3 + [ctypes.c_long]
TCP_ZEROCOPY_RECEIVE, SIZE = 35, 32768
def mapped(s):
    area = libc.mmap(None, SIZE, mmap.PROT_READ, mmap.MAP_SHARED, s.fileno(), 0)
    ask = ctypes.create_string_buffer(struct.pack('QIIIi', area, SIZE, 0, 0, 0), 24)
    length = ctypes.c_uint(24)
    if libc.getsockopt(s.fileno(), 6, TCP_ZEROCOPY_RECEIVE, ask, ctypes.byref(length)) != 0:
        raise OSError(ctypes.get_errno(), 'TCP_ZEROCOPY_RECEIVE')
    return struct.unpack_from('QIIIi', ask)[1:3]
a, b = pair()
with tempfile.TemporaryFile() as file:
    file.write(b'f' * SIZE)
    file.flush()
    os.sendfile(a.fileno(), file.fileno(), 0, SIZE)
    time.sleep(0.5)
    of_file, hint = mapped(b)
c, d = pair()
out, into = os.pipe()
os.write(into, b'p' * SIZE)
left = SIZE
while left: left -= os.splice(out, c.fileno(), left)
time.sleep(0.5)
of_pipe, _ = mapped(d)
print('of', SIZE, 'bytes of a file', of_file, 'are mapped, recv_skip_hint', hint, '; of a pipe', of_pipe)
print('AS DESCRIBED' if of_file == 0 and hint > 4096 and of_pipe >= 4096 else 'CHANGED')
END
GUEST_PACKAGES="libpython3.11-stdlib libffi8" guest linux-image-6.12.117+deb12-cloud-amd64 "" "$TEMP/program.py" | tee "$TEMP/seen"
grep -qx 'AS DESCRIBED' "$TEMP/seen"
