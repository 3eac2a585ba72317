-- The worst offenders in the fleet: which sockets went furthest past their limit, whose they are, and why.
-- One row a socket and recording; bytes.
SELECT
    host,
    comm,
    pid,
    src,
    sport,
    dst,
    dport,
    worst_excess,
    sndbuf,
    wmem_queued,
    send_q,
    cause,
    cause_bytes,
    worst AS at,
    verdict
FROM sockets
WHERE over_limit
ORDER BY worst_excess DESC, host, socket
LIMIT 20
