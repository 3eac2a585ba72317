"""Asks an engine questions about a lake of exports, and prints the answers as JSON.

    ask.py ENGINE LAKE DOCS

The line that makes the engine's tables is the one in DOCS/export.md, and the questions are DOCS/queries/*.sql. An
answer is its rows, with values that are written alike whatever an engine's types are; or {"failed": why}.
"""

import datetime
import decimal
import json
import pathlib
import re
import sys

TABLES = ("events", "receives", "sockets")

# Beside the documented ones: sums that 32 bits would not hold, and what types ids, times and names have.
EXTRA = {
    "sums": "SELECT COUNT(*) AS n, SUM(wmem_queued) * 100000 AS w, SUM(write_seq) AS s FROM events",
    "types": "SELECT DISTINCT host, date, run, socket, part FROM sockets ORDER BY host, run, socket, part",
    "times": "SELECT MIN(time) AS first_time, MAX(time_ns) AS last_ns FROM events",
    "rx": "SELECT COUNT(*) AS n, SUM(rmem_alloc) AS r, MAX(receive_window) AS w FROM receives",
    "rx_rows": """SELECT r.host, r.run, r.time_ns, r.hook, r.rcvbuf, r.op.op AS op, r.op.cause AS cause,
        r.op.tier AS tier, r.op.bytes AS bytes
        FROM (SELECT host, run, recording, time_ns, hook, rcvbuf, UNNEST(ops) AS op FROM receives) AS r
        ORDER BY host, run, recording, time_ns, op, cause""",
}


def plain(value):
    """A value as text."""
    if value is None or value != value:
        return None
    if isinstance(value, bool):
        return str(value)
    if isinstance(value, (float, decimal.Decimal)):
        return f"{float(value):.6g}" if value != int(value) else str(int(value))
    if isinstance(value, datetime.datetime):
        if value.tzinfo is None:
            value = value.replace(tzinfo=datetime.timezone.utc)
        return value.astimezone(datetime.timezone.utc).isoformat(timespec="microseconds")
    if isinstance(value, datetime.date):
        return value.isoformat()
    return str(value)


def duckdb(line, lake):
    import duckdb

    db = duckdb.connect()
    db.execute("SET TimeZone = 'UTC'")
    for table in TABLES:
        db.execute(line(table))
    return lambda sql: db.execute(sql).fetchall()


def datafusion(line, lake):
    import datafusion

    ctx = datafusion.SessionContext()
    for table in TABLES:
        ctx.sql(line(table))
    return lambda sql: [tuple(row.values()) for row in ctx.sql(sql).to_pylist()]


def polars(line, lake):
    import polars as pl

    ctx = pl.SQLContext()
    for table in TABLES:
        exec(line(table), {"ctx": ctx, "pl": pl})
    return lambda sql: ctx.execute(sql, eager=True).rows()


def clickhouse(line, lake):
    from chdb import session

    db = session.Session()
    db.query("CREATE DATABASE lake")
    db.query("USE lake")
    for table in TABLES:
        db.query(line(table))

    def rows(sql):
        arrow = db.query(sql, "ArrowTable")
        names = range(arrow.num_columns)
        columns = [arrow.column(n).to_pylist() for n in names]
        text = [[v.decode() if isinstance(v, bytes) else v for v in c] for c in columns]
        return list(zip(*text))

    return rows


def spark(line, lake):
    import os

    import pyspark
    from pyspark.sql import SparkSession

    work = f"{lake}/../spark"
    os.environ["SPARK_HOME"] = os.path.dirname(pyspark.__file__)
    os.environ["PYSPARK_PYTHON"] = sys.executable
    os.environ["SPARK_LOCAL_IP"] = "127.0.0.1"
    os.environ["SPARK_WORKER_DIR"] = f"{work}/worker"
    settings = {
        "spark.sql.warehouse.dir": f"{work}/warehouse",
        "spark.driver.extraJavaOptions": f"-Dderby.system.home={work}/derby",
        "spark.sql.session.timeZone": "UTC",
        "spark.sql.shuffle.partitions": "2",
        "spark.ui.enabled": "false",
    }
    # Two executors, each a program of its own.
    builder = SparkSession.builder.master("local-cluster[2,1,1024]")
    for name, value in settings.items():
        builder = builder.config(name, value)
    session = builder.getOrCreate()
    session.sparkContext.setLogLevel("OFF")
    for table in TABLES:
        session.sql(line(table))
    return lambda sql: [tuple(r) for r in session.sql(sql.replace("UNNEST(", "EXPLODE(")).collect()]


ENGINES = {
    "DuckDB": duckdb,
    "DataFusion": datafusion,
    "polars": polars,
    "ClickHouse": clickhouse,
    "Spark": spark,
}


def main():
    engine, lake, docs = sys.argv[1], sys.argv[2], pathlib.Path(sys.argv[3])
    text = (docs / "export.md").read_text()
    documented = re.search(rf"^\| {engine} \| `([^`]*)`", text, re.MULTILINE)[1]

    def line(table):
        ready = re.sub(r"(/abs/)?\blake/", f"{lake}/", documented)
        return re.sub(r"\bsockets\b", table, ready)

    ask = ENGINES[engine](line, lake)
    queries = {path.stem: path.read_text() for path in sorted((docs / "queries").glob("*.sql"))}
    answers = {}
    for name, sql in (queries | EXTRA).items():
        try:
            answers[name] = [[plain(value) for value in row] for row in ask(sql)]
        except Exception as failure:
            answers[name] = {"failed": f"{type(failure).__name__}: {failure}"[:500]}
    print(json.dumps(answers))


main()
