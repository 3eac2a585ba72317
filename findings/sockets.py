# What the programs in the guest share: reading SO_MEMINFO and queues, a TCP connection to oneself, kernel TLS on it.
import fcntl, select, socket, struct, time
SOL, SO_MEMINFO, SIOCINQ, SIOCOUTQ = socket.SOL_SOCKET, 55, 0x541B, 0x5411
TCP_ULP, SOL_TLS, TLS_TX, TLS_RX = 31, 282, 1, 2
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
def keys(s, direction):
    s.setsockopt(socket.IPPROTO_TCP, TCP_ULP, b'tls')
    # TLS 1.2, AES-128-GCM: struct tls12_crypto_info_aes_gcm_128 (include/uapi/linux/tls.h), of a key for this test.
    s.setsockopt(SOL_TLS, direction, struct.pack('HH8s16s4s8s', 0x303, 51, b'i' * 8, b'k' * 16, b's' * 4, bytes(8)))
