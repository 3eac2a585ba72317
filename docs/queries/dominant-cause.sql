-- Which cause dominates: what did most to push sockets past their limits, over all hosts.
-- One row a cause; bytes are those that it put over the limit at each socket's worst instant.
SELECT
    cause,
    COUNT(*) AS sockets,
    COUNT(DISTINCT host) AS hosts,
    SUM(cause_bytes) AS bytes,
    MAX(worst_excess) AS worst_excess
FROM sockets
WHERE over_limit
GROUP BY cause
ORDER BY bytes DESC, cause
