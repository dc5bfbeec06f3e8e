"""What does a signed receipt cost, by how many share a signature?

CPU time per receipt, in microseconds, of what is done behind the answers: the receipt's canonical JSON, its entry and
its hash as a leaf, 32 receipts at a time; then, for the seal alone, the tree, the signature and the ``seal`` entry.
Then what the seal adds to the audit chain in bytes per receipt, and what a client is told on the road of the answer:
the last event of a choice written anew with the receipt's id.

    python benchmarks/receipts.py [--receipts 20000]
"""

import argparse
import json
import tempfile
import time
from pathlib import Path

from guard.evidence.entry import SEAL
from guard.evidence.links import Links, Run
from guard.evidence.seal import Sealer
from guard.evidence.signing import Signer
from guard.provenance.receipt import Finished, Receipts
from guard.wire.answers import sse

NOW = 1_795_000_000.25
BATCHES = (1, 8, 64)
TOGETHER = 32
"""Receipts that are linked with one call."""


def receipt(number):
    """An ordinary receipt."""
    finished = Finished(
        f"{number:020x}", 0, NOW, "a-tenant", number, "meta-llama/Llama-3.1-8B-Instruct", ["llama-3.1"], "0" * 64,
        "serve", "chat", 20, 400, "stop",
    )  # fmt: skip
    return Receipts(bytes(32)).make(finished, bytes(16), bytes(16))


def entries(receipts):
    """Return the CPU time and the bytes of one entry per receipt, and the leaves."""
    began, links, size, leaves = time.process_time(), Links(), 0, []
    for at in range(0, len(receipts), TOGETHER):
        lines, made = links.lines(NOW, "receipt", Run([each.entry() for each in receipts[at : at + TOGETHER]]))
        leaves += made
        size += len(lines)
    return time.process_time() - began, size, leaves


def seals(leaves, batch, directory):
    """Return the CPU time and the bytes of the seals, one for every ``batch`` receipts."""
    sealer, links, size = Sealer(Signer(directory)), Links(), 0
    began = time.process_time()
    for at in range(0, len(leaves), batch):
        sealer.take_all(leaves[at : at + batch])
        for facts in sealer.seals(links.hash.decode()):
            size += len(links.line(NOW, SEAL, facts))
    return time.process_time() - began, size


def last_events(count):
    """Return the CPU time of putting an id into the last event of a choice."""
    choice = {"index": 0, "delta": {}, "logprobs": None, "finish_reason": "stop", "stop_reason": None}
    event = sse.encode({"id": "chatcmpl-bd42f76667697cfd", "object": "chat.completion.chunk", "choices": [choice]})
    began = time.process_time()
    for _ in range(count):
        document = sse.decode(event[6:])
        document["choices"][0]["guard"] = {"receipt": "r-00000000000000000000-0"}
        sse.encode(document)
    return time.process_time() - began


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--receipts", type=int, default=20_000)
    count = parser.parse_args().receipts
    receipts = [receipt(number) for number in range(count)]
    spent, size, leaves = entries(receipts)
    print(f"entry of the receipt          {spent / count * 1e6:7.1f} us   {size / count:6.0f} B")
    figures = {"entry": {"us": spent / count * 1e6, "bytes": size / count}}
    for batch in BATCHES:
        with tempfile.TemporaryDirectory() as directory:
            spent, size = seals(leaves, batch, Path(directory))
        print(f"signed, {batch:3} to a seal         {spent / count * 1e6:7.1f} us   {size / count:6.0f} B")
        figures[f"sealed_{batch}"] = {"us": spent / count * 1e6, "bytes": size / count}
    spent = last_events(count)
    print(f"id in the last event          {spent / count * 1e6:7.1f} us   (on the road, once per choice)")
    figures["last_event"] = {"us": spent / count * 1e6}
    print(json.dumps(figures))


if __name__ == "__main__":
    main()
