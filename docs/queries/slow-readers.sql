-- Which readers hold their peers up: where received data waited longest with no read at all, or the window fell to 0.
-- One row a socket of a recording with --rx: its last account. Bytes.
SELECT
    s.host,
    s.comm,
    s.pid,
    s.socket,
    s.src,
    s.sport,
    s.dst,
    s.dport,
    s.longest_unread_ns / 1e6 AS longest_unread_ms,
    s.zero_windows,
    s.reads,
    s.recv_q,
    s.rmem_alloc,
    s.rcvbuf
FROM sockets AS s
JOIN (
    SELECT run, socket, MAX(ended) AS last_ended FROM sockets GROUP BY run, socket
) AS l ON s.run = l.run AND s.socket = l.socket AND s.ended = l.last_ended
JOIN (
    SELECT run, socket, ended, MIN(recording) AS one FROM sockets GROUP BY run, socket, ended
) AS o ON s.run = o.run AND s.socket = o.socket AND s.ended = o.ended AND s.recording = o.one
WHERE s.rcvbuf IS NOT NULL
ORDER BY longest_unread_ms DESC, host, socket, s.run
LIMIT 20
