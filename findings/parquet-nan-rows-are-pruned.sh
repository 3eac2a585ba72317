#!/bin/sh
# DuckDB 2.0.1, DataFusion 55.0.0 and pyarrow 26.0.1: rows with NaN in a Parquet file are not found by a filter that finds them in
# the same rows in memory.
#
# Expected: a file and a table made of it give the same answer. In all three NaN passes the filter below, in memory.
# Seen: a Parquet file's bounds of a column (min and max) leave NaN out, as the format wants, and these three take that no row can
# pass when no value between the bounds can. The format says that bounds are no help in a search for NaN. max() of DuckDB and
# DataFusion comes from the bounds as well: 5 of the file, NaN of the table. polars 2.1.0 finds the row.
#
# Fails when that has changed.
set -eu
dir=$(mktemp -d)
trap 'rm -rf "$dir"' EXIT
python3 -m venv "$dir/env"
"$dir/env/bin/pip" install --quiet --disable-pip-version-check datafusion==55.0.0 duckdb==2.0.1 polars==2.1.0 pyarrow==26.0.1
"$dir/env/bin/python" - "$dir/a.parquet" <<'PYTHON'
import sys

import datafusion
import duckdb
import polars as pl
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.dataset as ds
import pyarrow.parquet as pq

path = sys.argv[1]
rows = pa.table({"ratio": [1.0, float("nan"), 5.0]})
pq.write_table(rows, path)
duck = duckdb.connect()
duck.sql(f"CREATE TABLE held AS SELECT * FROM '{path}'")
duck.sql(f"CREATE VIEW file AS SELECT * FROM '{path}'")
fusion = datafusion.SessionContext()
fusion.register_parquet("file", path)
fusion.from_arrow(rows, name="held")
polars = pl.SQLContext(file=pl.scan_parquet(path), held=pl.from_arrow(rows))
engines = {
    f"DuckDB {duckdb.__version__}": lambda sql: duck.sql(sql).fetchall()[0][0],
    f"DataFusion {datafusion.__version__}": lambda sql: list(fusion.sql(sql).to_pydict().values())[0][0],
    f"polars {pl.__version__}": lambda sql: polars.execute(sql, eager=True).item(),
}
seen = {}
print("ratio is 1, NaN, 5; in the file and in memory:")
for name, ask in engines.items():
    for what in ("COUNT(*) AS x FROM {} WHERE NOT ratio <= 5", "MAX(ratio) AS x FROM {}"):
        answers = tuple(str(ask("SELECT " + what.format(place))) for place in ("file", "held"))
        seen[name.split()[0], what[:3]] = answers
        print(f"{name}: {what.format('it')}: {answers[0]}, {answers[1]}")
beyond = ~(pc.field("ratio") <= 5)
arrow = ds.dataset(path).to_table(filter=beyond).num_rows, rows.filter(beyond).num_rows
print(f"pyarrow {pa.__version__}: rows that are not <= 5: {arrow[0]}, {arrow[1]}")
assert seen["DuckDB", "COU"] == seen["DataFusion", "COU"] == ("0", "1")
assert seen["DuckDB", "MAX"] == seen["DataFusion", "MAX"] == ("5.0", "nan")
assert seen["polars", "COU"] == ("1", "1")
assert arrow == (0, 1)
PYTHON
