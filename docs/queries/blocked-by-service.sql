-- Blocked time by service and day: how long senders slept for want of send memory, and how often they got EAGAIN.
-- One row a command name and day on which its recording began; all threads together, so a day may have more than 86,400
-- seconds. Each socket counts once, by its last account.
SELECT
    s.comm AS service,
    s.date,
    COUNT(DISTINCT s.host) AS hosts,
    COUNT(*) AS sockets,
    SUM(s.blocked_ns) / 1e9 AS blocked_s,
    MAX(s.longest_blocked_ns) / 1e6 AS longest_ms,
    SUM(s.sleeps) AS all_sleeps,
    SUM(s.refusals) AS all_refusals
FROM sockets AS s
JOIN (
    SELECT run, socket, MAX(ended) AS last_ended FROM sockets GROUP BY run, socket
) AS l ON s.run = l.run AND s.socket = l.socket AND s.ended = l.last_ended
JOIN (
    SELECT run, socket, ended, MIN(recording) AS one FROM sockets GROUP BY run, socket, ended
) AS o ON s.run = o.run AND s.socket = o.socket AND s.ended = o.ended AND s.recording = o.one
WHERE s.sleeps > 0 OR s.refusals > 0
GROUP BY s.comm, s.date
ORDER BY blocked_s DESC, service, date
