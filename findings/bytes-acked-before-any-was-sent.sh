#!/usr/bin/env bash
# Linux 6.12: bytes_acked of TCP_INFO (ss -ti) is 1 on a connection over which no byte was sent, at the client's
# end and not at the server's.
#
# Expected: bytes_acked and bytes_received count payload, as bytes_sent does; bytes_sent - bytes_acked, less what was sent again, is
# what is in flight: 0 or more.
# Seen: bytes_acked counts the client's SYN and either side's FIN, bytes_received the peer's FIN; bytes_sent counts neither. So the
# difference of an idle client is -1, and -2 once it has shut its side. The server's SYN is not counted.
. "$(dirname "$0")/guest.bash"

cat >"$TEMP/program.py" <<'END'
from sockets import *
# tcpi_bytes_sent, tcpi_bytes_acked, tcpi_bytes_received (include/uapi/linux/tcp.h)
def counts(s):
    time.sleep(0.5)
    info = s.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, 256)
    return tuple(struct.unpack_from('Q', info, at)[0] for at in (200, 120, 128))
a, b = pair()
seen = [(counts(a), counts(b))]
a.send(b'x' * 10)
b.send(b'y' * 5)
seen.append((counts(a), counts(b)))
a.shutdown(socket.SHUT_WR)
seen.append((counts(a), counts(b)))
for what, (client, server) in zip(('connected', '10 and 5 bytes sent', 'client has shut its side'), seen):
    print(what, ': sent, acked, received: client', client, 'server', server)
good = seen == [((0, 1, 0), (0, 0, 0)), ((10, 11, 5), (5, 5, 10)), ((10, 12, 5), (5, 5, 11))]
print('AS DESCRIBED' if good else 'CHANGED')
END
guest linux-image-6.12.117+deb12-cloud-amd64 "" "$TEMP/program.py" | tee "$TEMP/seen"
grep -qx 'AS DESCRIBED' "$TEMP/seen"
