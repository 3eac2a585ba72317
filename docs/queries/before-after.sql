-- Before and after a change: put its day in the place of 2026-11-24.
-- One row a service and period; shares are of its sockets, times of the sockets together. Each socket counts once, by
-- its last account, on the day on which its recording began.
SELECT
    p.service,
    p.period,
    COUNT(*) AS sockets,
    AVG(p.is_over) AS share_over_limit,
    MAX(p.excess) AS largest_excess,
    AVG(p.blocked) / 1e9 AS blocked_s_a_socket,
    MAX(p.longest) / 1e6 AS longest_ms
FROM (
    SELECT
        s.comm AS service,
        CASE WHEN s.date < DATE '2026-11-24' THEN 'before' ELSE 'after' END AS period,
        CASE WHEN s.over_limit THEN 1.0 ELSE 0.0 END AS is_over,
        s.worst_excess AS excess,
        s.blocked_ns AS blocked,
        s.longest_blocked_ns AS longest
    FROM sockets AS s
    JOIN (
        SELECT run, socket, MAX(ended) AS last_ended FROM sockets GROUP BY run, socket
    ) AS l ON s.run = l.run AND s.socket = l.socket AND s.ended = l.last_ended
    JOIN (
        SELECT run, socket, ended, MIN(recording) AS one FROM sockets GROUP BY run, socket, ended
    ) AS o ON s.run = o.run AND s.socket = o.socket AND s.ended = o.ended AND s.recording = o.one
) AS p
GROUP BY p.service, p.period
ORDER BY service, period
