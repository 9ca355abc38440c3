"""The comparison as one full outer join in DuckDB: counts and sums of each class, and the seconds that the
query took, as JSON. Starting Python and loading the database's library are not part of it.

    python join.py FOLDER
"""

import json
import sys
import time
from pathlib import Path

import duckdb

folder = Path(sys.argv[1])
begun = time.perf_counter()
connection = duckdb.connect()
connection.execute("SET threads = 2")


def side(name):
    # A flow number has more digits than any integer of the database.
    return f"read_csv('{folder / name}', types = {{'flow_no': 'VARCHAR'}})"


QUERY = f"""
    SELECT CASE WHEN ours.flow_no IS NULL THEN 'LONG'
                WHEN theirs.flow_no IS NULL THEN 'SHORT'
                WHEN ours.amount_minor <> theirs.amount_minor THEN 'AMOUNT'
                ELSE 'MATCHED' END AS class,
           count(*) AS flows,
           sum(coalesce(ours.amount_minor, 0)) AS ours_minor,
           sum(coalesce(theirs.amount_minor, 0)) AS theirs_minor
    FROM {side("ours.csv")} AS ours
    FULL OUTER JOIN {side("theirs.csv")} AS theirs ON ours.flow_no = theirs.flow_no
    GROUP BY class
"""
rows = connection.execute(QUERY).fetchall()
seconds = time.perf_counter() - begun
classes = {row[0]: [row[1], str(row[2]), str(row[3])] for row in rows}
print(json.dumps({"seconds": seconds, "classes": classes}))
