-- What was booked under each cause on the receive side (--rx), by day: positive bytes joined sk_rmem_alloc, negative
-- ones left it. Black boxes of one run overlap: each record counts once. Spark calls UNNEST explode.
SELECT
    booked.date,
    booked.op.cause AS cause,
    SUM(booked.op.bytes) AS bytes,
    COUNT(*) AS times
FROM (
    SELECT date, UNNEST(ops) AS op
    FROM (SELECT DISTINCT run, socket, event_no, time_ns, date, ops FROM receives) AS once
) AS booked
WHERE booked.op.op = 'book'
GROUP BY booked.date, booked.op.cause
ORDER BY date, bytes DESC, cause
