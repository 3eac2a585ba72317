-- Which cause dominates: what did most to push sockets past their limits, over all hosts.
-- One row a cause; bytes are those that it put over the limit at each socket's worst instant. Each socket counts once,
-- by its last account.
SELECT
    s.cause,
    COUNT(*) AS sockets,
    COUNT(DISTINCT s.host) AS hosts,
    SUM(s.cause_bytes) AS bytes,
    MAX(s.worst_excess) AS largest_excess
FROM sockets AS s
JOIN (
    SELECT run, socket, MAX(ended) AS last_ended FROM sockets GROUP BY run, socket
) AS l ON s.run = l.run AND s.socket = l.socket AND s.ended = l.last_ended
JOIN (
    SELECT run, socket, ended, MIN(recording) AS one FROM sockets GROUP BY run, socket, ended
) AS o ON s.run = o.run AND s.socket = o.socket AND s.ended = o.ended AND s.recording = o.one
WHERE s.over_limit
GROUP BY s.cause
ORDER BY bytes DESC, cause
