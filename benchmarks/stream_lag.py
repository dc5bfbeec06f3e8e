"""How far behind the model's words does a client of a screened stream stay, and what does the screen cost a token?

Real text that nobody needs to be kept from (Python's own language reference, `pydoc_data`, or the `text` of the JSON
lines given) is cut into pieces of 3 to 6 characters, as tokens are, and fed to the screen of one channel: the shipped
rules, with every category blocking that the license blocks, then with the learned tier reading along, then with the
privacy pack masking too, last with the learned tier blocking as well. After each piece: how many of the pieces read
have not left yet? A piece leaves when its last character is cleared. CPU time is that of the screen alone, the best of
several passes, because other work on the machine only ever adds.

    python benchmarks/stream_lag.py [--license llama-3.1] [--tokens 100000] [--passes 5] [FILE.jsonl[.gz] ...]
"""

import argparse
import gzip
import itertools
import json
import random
import time
from collections import deque
from pathlib import Path
from pydoc_data.topics import topics

from guard.policy.load import policy_for
from guard.policy.locations import rule_pack, shipped_rules
from guard.policy.rules import load_rules
from guard.screening.categories import OWN
from guard.screening.findings import Action
from guard.screening.learned.learned import default
from guard.screening.ruleset import RuleSet
from guard.screening.segments import Source


def texts(files):
    """Return the texts of ``files``, or those of the language reference."""
    if not files:
        return [topics[name] for name in sorted(topics)]
    octets = (gzip.decompress(file.read_bytes()) if file.suffix == ".gz" else file.read_bytes() for file in files)
    return [json.loads(line)["text"] for each in octets for line in each.splitlines()]


def pieces(found, wanted):
    """Return ``found`` cut into pieces of 3 to 6 characters, until there are ``wanted``."""
    chance, streams, count = random.Random(5), [], 0
    for text in found:
        stream, at = [], 0
        while at < len(text) and count < wanted:
            size = chance.randint(3, 6)
            stream.append(text[at : at + size])
            at += size
            count += 1
        if stream:
            streams.append(stream)
    return streams


def lags(streams, opened):
    """Return the lag after each piece, in pieces; the operations counted, the characters, and the streams blocked."""
    found, scanned, characters, blocked = [], 0, 0, 0
    for stream in streams:
        screen, waiting = opened(), deque()
        for piece in stream:
            screen.feed(piece)
            waiting.append(screen.seen)
            while waiting and waiting[0] <= screen.cleared:
                waiting.popleft()
            found.append(len(waiting))
            if screen.blocked is not None:
                blocked += 1
                break
        screen.finish()
        scanned, characters = scanned + screen.scanned, characters + screen.seen
    return found, scanned, characters, blocked


def cost(streams, opened):
    """Return the CPU seconds of one pass that only screens."""
    began = time.process_time()
    for stream in streams:
        screen = opened()
        feed = screen.feed
        for piece in stream:
            feed(piece)
            screen.cleared  # noqa: B018 - whoever releases asks after every piece
        screen.finish()
    return time.process_time() - began


def opener(rules, blocking, most):
    """Return what opens a screen of ``rules``, with the learned tier doing at most ``most``."""

    def opened():
        score = None if most is Action.OFF else default().open(Source.OUTPUT, blocks=most is Action.BLOCK)
        return rules.open(Source.OUTPUT, blocking, score, most)

    return opened


def at(ordered, share):
    """Return the value that ``share`` of ``ordered`` reach at most."""
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))]


def main():
    """Print the lag and the cost."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("files", nargs="*", type=Path)
    parser.add_argument("--license", default="llama-3.1")
    parser.add_argument("--tokens", type=int, default=100_000)
    parser.add_argument("--passes", type=int, default=5)
    asked = parser.parse_args()

    blocking = policy_for(asked.license).blocking | {OWN}
    streams = pieces(texts(asked.files), asked.tokens)
    count = sum(map(len, streams))
    print(f"{len(streams)} texts, {count} tokens, {sum(map(len, itertools.chain(*streams)))} characters")
    shipped, privacy = [shipped_rules()], [shipped_rules(), rule_pack("privacy")]
    for name, files, most in (
        ("rules", shipped, Action.OFF),
        ("rules, learned tier flagging", shipped, Action.FLAG),
        ("rules, learned tier flagging, privacy pack", privacy, Action.FLAG),
        ("rules, learned tier blocking, privacy pack", privacy, Action.BLOCK),
    ):
        opened = opener(RuleSet(load_rules(files)[0]), blocking, most)
        found, scanned, characters, blocked = lags(streams, opened)
        found.sort()
        seconds = min(cost(streams, opened) for _ in range(asked.passes))
        print(f"{name}: {blocked} texts blocked")
        print(f"  lag in tokens: median {at(found, 0.5)}, p99 {at(found, 0.99)}, max {found[-1]}")
        print(f"  {scanned / characters:.2f} operations a character, {seconds / count * 1e6:.2f} us of CPU a token")


if __name__ == "__main__":
    main()
