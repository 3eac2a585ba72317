# What the programs in the guest share: reading SO_MEMINFO and queues, a TCP connection to oneself.
import fcntl, select, socket, struct, time
SOL, SO_MEMINFO, SIOCINQ, SIOCOUTQ = socket.SOL_SOCKET, 55, 0x541B, 0x5411
NAMES = ('r', 'rb', 't', 'tb', 'f', 'w', 'o', 'bl', 'd')
def mem(s): return dict(zip(NAMES, struct.unpack('9i', s.getsockopt(SOL, SO_MEMINFO, 36))))
def queued(s, what): return struct.unpack('i', fcntl.ioctl(s, what, b'\0' * 4))[0]
def pair(rcvbuf=None, sndbuf=None):
    listener = socket.create_server(('127.0.0.1', 0))
    if rcvbuf: listener.setsockopt(SOL, socket.SO_RCVBUF, rcvbuf)
    a = socket.socket()
    if sndbuf: a.setsockopt(SOL, socket.SO_SNDBUF, sndbuf)
    a.connect(listener.getsockname())
    b, _ = listener.accept()
    return a, b
