-- Blocked time by service and day: how long senders slept for want of send memory, and how often they were told EAGAIN.
-- One row a command name and day; all threads together, so a day may have more than 86,400 seconds.
SELECT
    comm AS service,
    date,
    COUNT(DISTINCT host) AS hosts,
    COUNT(*) AS sockets,
    SUM(blocked_ns) / 1e9 AS blocked_s,
    MAX(longest_blocked_ns) / 1e6 AS longest_ms,
    SUM(sleeps) AS sleeps,
    SUM(refusals) AS refusals
FROM sockets
WHERE sleeps > 0 OR refusals > 0
GROUP BY comm, date
ORDER BY blocked_s DESC, service, date
