"""How fast is an audit chain verified, and in how much memory?

Chains of decisions alone, and of receipts under seals (one receipt to a seal: an idle gateway; 64: a busy one), over
several files. The better of two runs, with and without public keys; then the peak of the process's resident memory.

    python benchmarks/audit_verify.py [--megabytes 64]
"""

import argparse
import json
import resource
import tempfile
import time
from pathlib import Path

from guard.evidence.chain import Journal
from guard.evidence.signing import PUBLIC, Signer, Verifier
from guard.evidence.verify import verify
from guard.provenance.receipt import Finished, Receipts

NOW = 1_795_000_000.25
DECISION = {"verdict": "deny", "findings": [{"rule": "r" * 20, "category": "S9", "start": 1, "end": 9}] * 4}
MEGABYTE = 1024 * 1024


def receipt(number):
    """The facts of an ordinary receipt."""
    finished = Finished(
        f"{number:020x}", 0, NOW, "a-tenant", number, "meta-llama/Llama-3.1-8B-Instruct", ["llama-3.1"], "0" * 64,
        "serve", "chat", 20, 400, "stop",
    )  # fmt: skip
    return Receipts(bytes(32)).make(finished, bytes(16), bytes(16)).facts()


def write(directory, signer, size, batch):
    """Write a chain of ``size`` bytes: decisions, or receipts with ``batch`` to a seal. Return its bytes."""
    journal = Journal(directory, instance="guard-0", linger=3600, rotate_bytes=size // 4, signer=signer, limit=10**9)
    journal.start()
    number, written = 0, 0
    while written < size:
        for _ in range(batch or 64):
            journal.append(
                *(("receipt", receipt(number)) if batch else ("decision", {**DECISION, "reference": number}))
            )
            number += 1
        journal.flush()
        if batch and journal._seal():  # noqa: SLF001 - as its thread does, at once
            journal.flush()
        if number % 1024 < (batch or 64):
            written = sum(path.stat().st_size for path in directory.glob("*.jsonl"))
    journal.close()
    return sum(path.stat().st_size for path in directory.glob("*.jsonl"))


def speed(directory, keys):
    """Return bytes a second, the better of two runs."""
    size, best = sum(path.stat().st_size for path in directory.glob("*.jsonl")), float("inf")
    for _ in range(2):
        began = time.perf_counter()
        assert verify(directory, keys=keys).ok
        best = min(best, time.perf_counter() - began)
    return size / best


def main():
    """Print the figures as JSON."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--megabytes", type=int, default=64)
    size = parser.parse_args().megabytes * MEGABYTE
    figures = {}
    for name, batch in {"decisions": 0, "receipts, 1 to a seal": 1, "receipts, 64 to a seal": 64}.items():
        with tempfile.TemporaryDirectory() as folder:
            directory, signer = Path(folder) / "audit", Signer(Path(folder) / "signing")
            written = write(directory, signer, size, batch)
            keys = Verifier.of_list(Path(folder) / "signing" / PUBLIC)
            figures[name] = {
                "MB": round(written / MEGABYTE),
                "MB/s": round(speed(directory, keys) / MEGABYTE, 1),
                "MB/s without keys": round(speed(directory, None) / MEGABYTE, 1),
            }
    figures["peak MiB"] = round(resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024)
    print(json.dumps(figures, indent=2))


if __name__ == "__main__":
    main()
