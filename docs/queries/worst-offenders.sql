-- The worst offenders in the fleet: which sockets went furthest past their limit, whose they are, and why.
-- One row a socket: its last account, which holds those of earlier parts. Bytes.
SELECT
    s.host,
    s.comm,
    s.pid,
    s.socket,
    s.src,
    s.sport,
    s.dst,
    s.dport,
    s.worst_excess,
    s.sndbuf,
    s.wmem_queued,
    s.send_q,
    s.cause,
    s.cause_bytes,
    s.worst,
    s.verdict
FROM sockets AS s
JOIN (
    SELECT run, socket, MAX(ended) AS last_ended FROM sockets GROUP BY run, socket
) AS l ON s.run = l.run AND s.socket = l.socket AND s.ended = l.last_ended
JOIN (
    SELECT run, socket, ended, MIN(recording) AS one FROM sockets GROUP BY run, socket, ended
) AS o ON s.run = o.run AND s.socket = o.socket AND s.ended = o.ended AND s.recording = o.one
WHERE s.over_limit
ORDER BY worst_excess DESC, host, socket, s.run
LIMIT 20
