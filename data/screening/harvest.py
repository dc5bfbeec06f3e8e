# ruff: noqa: INP001, S311 - a script beside its data, no package; it samples by a seed
"""Makes calibration.jsonl.gz and unlabelled.jsonl.gz: real, long, benign text with clean terms.

    mkdir -p /tmp/harvest/{deb,pip,sdist,npm}
    cd /tmp/harvest/deb && apt-get download $(python harvest.py --list deb)
    cd /tmp/harvest/pip && pip download --no-deps $(python harvest.py --list pip)
    cd /tmp/harvest/sdist && pip download --no-deps --no-binary :all: $(python harvest.py --list sdist)
    cd /tmp/harvest/npm && npm pack $(python harvest.py --list npm)
    python harvest.py /tmp/harvest

The same archives give the same files. Which versions the files in the repository were made from is in README.md: their
rows name them. A part of a source file serves one split only, so that what the thresholds are fixed on, what checks
them and what is trained on share no passage.
"""

import gzip
import json
import math
import random
import re
import sys
from collections import Counter, defaultdict
from hashlib import blake2b
from itertools import pairwise
from pathlib import Path

from passages import HERE, Passage, passages, sources, traces

Row = dict[str, str | list[str]]
SPLITS = {"calibration": 2000, "check": 1000, "train": 1000}
UNLABELLED = 12_000
MIX = {
    "code": 29,
    "docs": 19,
    "config": 10,
    "trace": 4,
    "sql": 6,
    "data": 3,
    "science": 10,
    "business": 9,
    "literature": 5,
    "health": 4,
    "games": 4,
}
LENGTHS = ((0.0, 18), (0.08, 100), (0.3, 300), (0.5, 580), (0.7, 1250), (0.86, 2900), (1.0, 6300))
"""Quantiles of the length of a prompt, after real long coding and office prompts."""


def split_of(passage: Passage) -> str:
    """Return the split that the passage serves: by its name alone."""
    place = int.from_bytes(blake2b(f"{passage.source.package}/{passage.name}".encode(), digest_size=4).digest()) % 100
    return "calibration" if place < 34 else "check" if place < 51 else "train" if place < 68 else "unlabelled"


def asks() -> dict[str, list[str]]:
    """Return the asks of asks.txt by section."""
    found: dict[str, list[str]] = defaultdict(list)
    section = ""
    for line in (HERE / "asks.txt").read_text(encoding="utf-8").splitlines():
        if line.startswith("["):
            section = line.strip("[]")
        elif line and not line.startswith("#"):
            found[section].append(line)
    return found


def names(found_in: list[Passage]) -> dict[str, list[str]]:
    """Return names to ask about: functions of Python's library, commands with a manual page, words of WordNet."""
    found: dict[str, set[str]] = {"python": set(), "command": set(), "word": set()}
    for passage in found_in:
        source = passage.source
        if source.form == "roff" and (page := re.search(r"/man[178]/([\w-]+?)\.[178]\w*(?:\.gz)?$", passage.origin)):
            found["command"].add(page[1].replace("_", " "))
        elif source.form == "glosses":
            found["word"] |= {
                word for block in passage.blocks[::40] if re.fullmatch(r"[a-z]{5,12}", word := block.split(":")[0])
            }
        elif source.package == "python3.11-doc":
            text = "\n".join(passage.blocks)
            found["python"] |= set(
                re.findall(
                    r"\b(?:os|re|json|asyncio|itertools|functools|subprocess|threading|datetime|shutil|socket|logging|collections|contextlib|random|math|sqlite3|pathlib|csv|time|typing|signal)\.[a-zA-Z_]{3,24}\b(?:\(\))?",
                    text,
                )
            )
    return {kind: sorted(values) for kind, values in found.items()}


def length(rng: random.Random) -> int:
    """Return a length drawn from LENGTHS, by interpolation of its logarithm."""
    at = rng.random()
    for (low, shorter), (high, longer) in pairwise(LENGTHS):
        if at <= high:
            return round(math.exp(math.log(shorter) + (at - low) / (high - low) * math.log(longer / shorter)))
    return LENGTHS[-1][1]


class Shelf:
    """The passages of one split; what was taken is not given again."""

    def __init__(self, found: list[Passage], rng: random.Random) -> None:
        self._rng = rng
        by_package: dict[tuple[str, str], list[Passage]] = defaultdict(list)
        for passage in found:
            by_package[passage.source.kind, passage.source.package].append(passage)
        self._kinds: dict[str, list[list[Passage]]] = defaultdict(list)
        for (kind, _), some in sorted(by_package.items()):
            self._kinds[kind].append(some)
        self._taken: set[tuple[str, str, int]] = set()

    def take(self, kind: str, most: int, least: int) -> tuple[Passage, str] | None:
        """Return a passage and a run of its blocks of ``least`` to ``most`` characters, or None."""
        for _ in range(80):
            packages = self._kinds[kind]
            some = self._rng.choices(packages, [math.sqrt(len(package)) for package in packages])[0]
            passage = self._rng.choice(some)
            starts = [number for number, block in enumerate(passage.blocks) if block]
            if kind == "code" and self._rng.random() < 0.7:
                starts = [number for number in starts if not passage.blocks[number][0].isspace()] or starts
            start, text, used = self._rng.choice(starts), "", 0
            for used, block in enumerate(passage.blocks[start:]):
                if (
                    not block
                    or (passage.origin, passage.name, start + used) in self._taken
                    or len(text) + len(block) > most
                ):
                    break
                text += ("\n\n" if text else "") + block
            else:
                used += 1
            if len(text) >= least and text.count("\n") * 9 < len(text):
                self._taken |= {(passage.origin, passage.name, start + step) for step in range(used)}
                return passage, text
        return None


ASKS_OF = {
    "code": ("code",),
    "config": ("config", "docs"),
    "trace": ("trace",),
    "docs": ("docs",),
    "sql": ("sql",),
    "data": ("data",),
    "science": ("science", "docs"),
    "business": ("business", "docs"),
    "literature": ("literature",),
    "health": ("health", "docs"),
    "games": ("games",),
}


def prompt(rng: random.Random, ask: str, excerpt: str, kind: str) -> str:
    """Return an ask and what was pasted with it, put together in one of the ways people do."""
    fenced = kind in ("code", "sql", "config", "data", "trace") and rng.random() < 0.45
    body = f"```\n{excerpt}\n```" if fenced else f'"{excerpt}"' if rng.random() < 0.05 else excerpt
    way = rng.random()
    if way < 0.03 and len(excerpt) > 150:
        return body
    gap = "\n\n" if rng.random() < 0.75 else "\n"
    return body + gap + ask.removesuffix(":") if 0.03 <= way < 0.32 else ask + gap + body


def short(rng: random.Random, every: dict[str, list[str]], known: dict[str, list[str]]) -> tuple[str, str]:
    """Return an ask that stands by itself, and the kind it counts as."""
    section = rng.choices(("python", "command", "word"), (5, 4, 4))[0]
    name, other = rng.sample(known[section], 2)
    return rng.choice(every[f"named.{section}"]).format(name=name, other=other), section


def calibration(
    shelf: Shelf,
    split: str,
    count: int,
    rng: random.Random,
    alone: list[str],
    known: dict[str, list[str]],
    seen: set[str],
) -> list[Row]:
    """Return ``count`` rows of ``split`` with texts that are not in ``seen``, and add them to it."""
    every = asks()
    rows: list[Row] = []
    origins = {"python": "python3.11-doc", "command": "manual pages", "word": "wordnet-base"}
    while len(rows) < count:
        size = length(rng)
        if alone and (size < 110 and rng.random() < 0.4):
            text, origin, licence = alone.pop(), "asks.txt", "Apache-2.0"
        elif size < 110:
            text, section = short(rng, every, known)
            origin, licence = f"asks.txt with a name from {origins[section]}", "Apache-2.0"
        else:
            kind = rng.choices(list(MIX), list(MIX.values()))[0]
            ask = rng.choice(every[rng.choice(ASKS_OF[kind])])
            taken = shelf.take(kind, max(size - len(ask), 60), max(round((size - len(ask)) * 0.6), 40))
            if taken is None:
                continue
            text, origin, licence = prompt(rng, ask, taken[1], kind), taken[0].origin, taken[0].source.licence
        if text in seen:
            continue
        seen.add(text)
        rows.append(
            {
                "text": text,
                "role": "prompt",
                "labels": ["benign"],
                "source": origin,
                "licence": licence,
                "provenance": "authored" if origin.startswith("asks.txt") else "harvested",
                "split": split,
            }
        )
    return rows


PROVOKING = re.compile(
    r"\b(?:kill|attack|exploit|poison|bomb|weapon|shoot|murder|execut|hijack|inject|crack|drug|steal|abuse|victim|terminat|die|dead|blood)\w*",
    re.IGNORECASE,
)


def sentences(found: list[Passage], count: int, rng: random.Random) -> list[Row]:
    """Return ``count`` rows of 40 to 600 characters, one in six with a word that filters like to trip over."""
    pools: dict[tuple[bool, str], dict[str, list[tuple[Passage, str]]]] = defaultdict(lambda: defaultdict(list))
    for passage in found:
        for block in passage.blocks:
            text = block
            if passage.source.kind not in ("code", "data", "sql"):
                text = re.sub(r"\s+", " ", re.sub(r"^\W*([=~^*#.-])\1{3,}$", "", block, flags=re.MULTILINE)).strip()
            if len(text) > 600:
                text = text[:600].rsplit(". ", 1)[0] + "." if ". " in text[:600] else ""
            if len(text) > 220 and ". " in text and rng.random() < 0.3:
                text = rng.choice(re.split(r"(?<=[.!?]) ", text))
            if (
                40 <= len(text) <= 600
                and (len(text) > 110 or rng.random() < 0.3)
                and sum(map(str.isalpha, text)) * 10 >= len(text) * 6
            ):
                pools[bool(PROVOKING.search(text)), passage.source.kind][passage.source.package].append((passage, text))
    rows: list[Row] = []
    seen: set[str] = set()
    kinds = {**MIX, "words": 8, "code": 18, "literature": 14, "business": 13, "health": 7, "games": 8}
    while len(rows) < count:
        pool = pools[rng.random() < 0.17, rng.choices(list(kinds), list(kinds.values()))[0]]
        packages = sorted(package for package, some in pool.items() if some)
        if not packages:
            continue
        some = pool[rng.choices(packages, [math.sqrt(len(pool[package])) for package in packages])[0]]
        passage, text = some.pop(rng.randrange(len(some)))
        if text not in seen:
            seen.add(text)
            rows.append({"text": text, "source": passage.origin, "licence": passage.source.licence})
    return rows


def write(path: Path, rows: list[Row]) -> None:
    """Write ``rows`` compressed; the same rows give the same bytes."""
    body = "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows).encode()
    path.write_bytes(gzip.compress(body, 9, mtime=0))
    print(f"{path.name}: {len(rows)} rows, {path.stat().st_size:,} bytes")
    print("  ", dict(Counter(row["licence"] for row in rows).most_common()))


def main(folder: Path) -> None:
    """Write both files beside this script from the archives in ``folder``."""
    rng = random.Random(20)
    found = list(passages(folder))
    by_split: dict[str, list[Passage]] = defaultdict(list)
    for passage in found:
        if any(passage.blocks):
            by_split[split_of(passage)].append(passage)
    for passage in traces(found):
        by_split[split_of(passage)].append(passage)
    alone, known = asks()["alone"], names(found)
    rows: list[Row] = []
    seen: set[str] = set()
    rng.shuffle(alone)
    shares = {
        "calibration": alone[: len(alone) // 2],
        "check": alone[len(alone) // 2 : len(alone) * 3 // 4],
        "train": alone[len(alone) * 3 // 4 :],
    }
    for split, count in SPLITS.items():
        shelf = Shelf([passage for passage in by_split[split] if passage.source.kind != "words"], rng)
        rows += calibration(shelf, split, count, rng, shares[split], known, seen)
    write(HERE / "calibration.jsonl.gz", rows)
    write(HERE / "unlabelled.jsonl.gz", sentences(by_split["unlabelled"], UNLABELLED, rng))


if __name__ == "__main__":
    if sys.argv[1:2] == ["--list"]:
        print(*sorted({source.package for source in sources() if source.archive == sys.argv[2]}))
    else:
        main(Path(sys.argv[1]))
