"""Contents of files for the tests of `corpusmill init`."""

from __future__ import annotations

import io
import json
import tarfile
import zipfile

import pyarrow as pa
import pyarrow.ipc as ipc
import pyarrow.parquet as pq

SEA = "The river runs to the sea and the lamp is lit in the harbour before the boats come home tonight."
HAFEN = "Das Boot ist schon da, und die Leute warten am Hafen, bis die Lampe wieder brennt."
MINATO = "海は広く、港には灯りがともる。船が帰ってくるまで人々は静かに待っている。"


def rows(*records: object) -> str:
    return "".join(json.dumps(record) + "\n" for record in records)


def some(text: str, field: str = "text", count: int = 4) -> str:
    return rows(*({field: f"{text} {number}"} for number in range(count)))


def parquet(**columns: list[object]) -> bytes:
    out = io.BytesIO()
    pq.write_table(pa.table(columns), out)
    return out.getvalue()


def arrow(*, stream: bool, **columns: list[object]) -> bytes:
    out, table = io.BytesIO(), pa.table(columns)
    with (ipc.new_stream if stream else ipc.new_file)(out, table.schema) as writer:
        writer.write_table(table)
    return out.getvalue()


def tar(*names: str) -> bytes:
    out = io.BytesIO()
    with tarfile.open(fileobj=out, mode="w:gz") as archive:
        for name in names:
            member = tarfile.TarInfo(name)
            member.size = 6
            archive.addfile(member, io.BytesIO(b"x = 1\n"))
    return out.getvalue()


def zipped(*names: str) -> bytes:
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w") as archive:
        for name in names:
            archive.writestr(name, "x = 1\n")
    return out.getvalue()
