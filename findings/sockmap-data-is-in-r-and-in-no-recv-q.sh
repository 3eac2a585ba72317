#!/usr/bin/env bash
# Linux 6.12 and iproute2 6.1: what a sockmap redirects into a socket can be read there, FIONREAD counts it, and ss has no Recv-Q.
#
# Expected: Recv-Q of ss is what FIONREAD (SIOCINQ) says, the bytes that recv() can give; r in ss -m is their memory.
# Seen: a program on a sockmap (BPF_SK_MSG_VERDICT, bpf_msg_redirect_map with BPF_F_INGRESS) sends 20,000 bytes of one socket into
# another. poll() says that it is readable, FIONREAD 20,000, recv() gives all of them; ss prints Recv-Q 0, for it takes
# rcv_nxt - copied_seq, which these bytes never passed. r is 20,000: payload without the overhead that packets have.
GUEST_PACKAGES="libpython3.11-stdlib iproute2"
. "$(dirname "$0")/guest.bash"

cat >"$TEMP/program.py" <<'END'
from sockets import *
import ctypes, subprocess
libc = ctypes.CDLL(None, use_errno=True)
def bpf(command, form, *values):
    attribute = ctypes.create_string_buffer(struct.pack(form, *values), 128)
    result = libc.syscall(321, command, attribute, 128)
    if result < 0: raise OSError(ctypes.get_errno(), 'bpf')
    return result
def address(buffer): return ctypes.addressof(buffer)
sockmap = bpf(0, '4I', 15, 4, 4, 2)
# r2 = map; r3 = 0; r4 = BPF_F_INGRESS; call bpf_msg_redirect_map; exit
code = struct.pack('<' + 'BBhi' * 6, 0x18, 0x12, 0, sockmap, 0, 0, 0, 0, 0xb7, 3, 0, 0, 0xb7, 4, 0, 1, 0x85, 0, 0, 60, 0x95, 0, 0, 0)
program, licence = ctypes.create_string_buffer(code), ctypes.create_string_buffer(b'GPL')
verdict = bpf(5, '2I2Q12I', 16, 6, address(program), address(licence), *[0] * 11, 7)
bpf(8, '3I', sockmap, verdict, 7)
def put(key, s):
    key, value = ctypes.create_string_buffer(struct.pack('I', key)), ctypes.create_string_buffer(struct.pack('I', s.fileno()))
    bpf(2, '2I2Q', sockmap, 0, address(key), address(value))
sender, _a = pair()
reader, _b = pair()
put(0, reader)
put(1, sender)
sender.sendall(b'x' * 20000)
poll = select.poll()
poll.register(reader, select.POLLIN)
readable, waits, r = bool(poll.poll(1000)), queued(reader, SIOCINQ), mem(reader)['r']
listed = subprocess.run(['/bin/ss', '-tnH', 'sport', '= :%d' % reader.getsockname()[1]], capture_output=True, text=True).stdout
recv_q = [int(line.split()[1]) for line in listed.splitlines() if 'ESTAB' in line]
got = 0
while got < 20000: got += len(reader.recv(20000 - got))
print('readable', readable, '; FIONREAD', waits, '; Recv-Q', recv_q, '; r', r, '; recv() gave', got, '; r', mem(reader)['r'])
print('AS DESCRIBED' if (readable, waits, recv_q, r, got, mem(reader)['r']) == (True, 20000, [0], 20000, 20000, 0) else 'CHANGED')
END
guest linux-image-6.12.117+deb12-cloud-amd64 "" "$TEMP/program.py" | tee "$TEMP/seen"
grep -qx 'AS DESCRIBED' "$TEMP/seen"
