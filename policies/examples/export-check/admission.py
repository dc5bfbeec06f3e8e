# ruff: noqa: INP001 - a script to be copied, no package
"""The admission step of a data platform: asks a gateway's admin port whether a data set may train a model.

    python admission.py train.jsonl --target mistralai/Mistral-7B-v0.1 [--guard http://127.0.0.1:9090]

Prints the decision as JSON, with what is owed where it is admitted and the receipts where it is not: of the strictest
1,000 hits; `hits_omitted` counts the others. Ends with 0 if it is admitted, 1 if it is not, 65 if the file cannot be
read, 75 (try again) while another data set is being checked, 69 if the gateway gives no answer. The port answers
loopback, or whoever has its token: GUARD_ADMIN_TOKEN. It needs nothing but Python.
"""

import argparse
import http.client
import json
import os
import sys
from pathlib import Path
from typing import BinaryIO
from urllib.parse import urlencode, urlsplit

ADMITTED = {"allow", "allow_with_obligations"}
FORMATS = (".ndjson", ".json", ".csv", ".tsv", ".parquet", ".jsonl")
EX_DATA, EX_UNAVAILABLE, EX_TEMPFAIL = 65, 69, 75


def format_of(path: Path) -> str:
    """Return the format by the name of a file, JSON lines if that tells none."""
    packed = path.suffix == ".gz"
    suffix = Path(path.stem).suffix if packed else path.suffix
    return (suffix[1:] if suffix in FORMATS else "jsonl") + ".gz" * packed


def ask(base: str, data: BinaryIO, target: str, format_: str) -> tuple[int, dict]:
    """Send the data set and return the status and the document of the answer. Raises OSError, ValueError."""
    parts = urlsplit(base)
    kind = http.client.HTTPSConnection if parts.scheme == "https" else http.client.HTTPConnection
    connection = kind(parts.netloc, timeout=3600)
    headers = {"content-length": str(os.fstat(data.fileno()).st_size)}
    if token := os.environ.get("GUARD_ADMIN_TOKEN"):
        headers["authorization"] = f"Bearer {token}"
    query = urlencode({"target": target, "format": format_})
    try:
        connection.request("POST", f"/api/v1/export/check?{query}", body=data, headers=headers)
        answer = connection.getresponse()
        return answer.status, json.loads(answer.read())
    finally:
        connection.close()


def main() -> int:
    """Ask, print and return the exit code."""
    parser = argparse.ArgumentParser(description="Admit a data set if its records may train a model.")
    parser.add_argument("data", type=Path)
    parser.add_argument("--target", required=True)
    parser.add_argument("--guard", default="http://127.0.0.1:9090")
    parser.add_argument("--format", help="by default the one that the name of the file tells")
    asked = parser.parse_args()
    try:
        data = asked.data.open("rb")
    except OSError as error:
        print(f"{asked.data}: {error.strerror}", file=sys.stderr)
        return EX_DATA
    try:
        with data:
            status, found = ask(asked.guard, data, asked.target, asked.format or format_of(asked.data))
    except (OSError, ValueError, http.client.HTTPException) as error:
        print(f"no answer from {asked.guard}: {error}", file=sys.stderr)
        return EX_UNAVAILABLE
    if status == 429:
        print("another data set is being checked", file=sys.stderr)
        return EX_TEMPFAIL
    if status != 200:
        print(json.dumps({"admitted": False, "error": found["error"]}))
        return 1
    admitted = found["verdict"] in ADMITTED
    decision = {
        "admitted": admitted,
        "verdict": found["verdict"],
        "sha256": found["files"][0]["sha256"],
        "obligations": [owed["text"] for owed in found["obligations"]] if admitted else [],
        "receipts": [] if admitted else [hit["receipt"] for hit in found["hits"] if hit["verdict"] not in ADMITTED],
        "hits_omitted": found["hits_omitted"],
        "not_seen": found["coverage"]["gaps"],
    }
    print(json.dumps(decision))
    return 0 if admitted else 1


if __name__ == "__main__":
    sys.exit(main())
