"""How much change does a copy of an answer survive before `guard export check` misses it, and when is it wrong?

Everything goes through the real writer, index and gate. The outputs are real texts: passages of 40 words and more from
data/screening (documentation, code, requests, essays), and the answers of data/answers; their prompts are recorded with
them. Each attack changes every output; the table shows the share found by tier A or B ("strong") and by C or better,
by length of the text, and for the answers as they came, code and numbers among them. Then come texts that are no
outputs: records that have nothing to do with the index, and answers by others to the very prompts whose answers are in
it. Texts, changes and key are fixed.

    python benchmarks/attacks.py [--sample 600]
"""

import argparse
import gzip
import json
import random
import re
import tempfile
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import NamedTuple

from guard.licensing.verdict import OutputVerdict, Verdict
from guard.provenance.coverage import Index
from guard.provenance.gate import Indexed, check
from guard.provenance.index import FingerprintWriter
from guard.provenance.interval import interval
from guard.provenance.judge import Use
from guard.provenance.marks import Key
from guard.provenance.months import MonthKeys
from guard.provenance.receipt import Finished
from guard.provenance.record import record_of
from guard.provenance.tiers import Tier, formal
from guard.provenance.words import read

DATA = Path(__file__).parent.parent / "data"
MASTER = bytes(range(32))
NOW = 1_795_000_000.0
BARRED = OutputVerdict(Verdict.DENY, "llama-2", "1.b.v", (), "no other model")
LENGTHS = ((40, 80), (80, 150), (150, 300), (300, 100_000))
"""Of prose, in words; the third is the length of a usual answer."""


class Passage(NamedTuple):
    """A text and where it is from: the first word of the name of a package, a data set, or the project itself."""

    text: str
    source: str


def passages(*names: str) -> Iterator[Passage]:
    """Yield the texts of files of data/screening, each different one once."""
    seen = set()
    for name in names:
        with gzip.open(DATA / "screening" / f"{name}.jsonl.gz", "rt", encoding="utf-8") as lines:
            for row in map(json.loads, lines):
                if row["text"] not in seen:
                    seen.add(row["text"])
                    yield Passage(row["text"], re.split(r"[- :/]", row["source"], maxsplit=1)[0])


def answers() -> dict[str, dict[str, str]]:
    """Return the answers of data/answers: by prompt, by writer."""
    found: dict[str, dict[str, str]] = {}
    for path in sorted((DATA / "answers").glob("?.jsonl")):
        for line in path.read_text(encoding="utf-8").splitlines():
            row = json.loads(line)
            found.setdefault(row["prompt"], {})[row["writer"]] = row["text"]
    return found


def prompts() -> dict[str, str]:
    """Return the prompts of data/answers by their ids."""
    lines = (DATA / "answers" / "prompts.txt").read_text(encoding="utf-8").splitlines()
    return dict(line.split(" ", 1) for line in lines if line)


# The attacks: (chance, vocabulary, text) -> changed text.

Attack = Callable[[random.Random, list[str], str], str]
_SENTENCE = re.compile(r"(?<=[.!?])\s+|\n{2,}|\n(?=[-*\d])")


def verbatim(_chance: random.Random, _words: list[str], text: str) -> str:
    return text


def reformatted(chance: random.Random, _words: list[str], text: str) -> str:
    """Other line breaks, quotes, case and Markdown; of code, other indentation and blank lines."""
    seen = read(text)
    if formal(seen, seen.count):
        return "```\n" + "\n\n".join("  " + line.strip() for line in text.splitlines()) + "\n```"
    every = re.sub(r"[`*_#>|\"'\u201c\u201d\u2018\u2019]", " ", text).split()
    marked = [f"**{word}**" if chance.random() < 0.05 else word for word in every]
    lines = [" ".join(marked[at : at + 11]) for at in range(0, len(marked), 11)]
    return "# A Note\n\n" + "\n> ".join(lines).upper()


def excerpt(chance: random.Random, _words: list[str], text: str) -> str:
    every = text.split()
    length = max(1, int(0.3 * len(every)))
    start = chance.randrange(len(every) - length + 1)
    return " ".join(every[start : start + length])


def shuffled(chance: random.Random, _words: list[str], text: str) -> str:
    sentences = [one for one in _SENTENCE.split(text) if one]
    return " ".join(chance.sample(sentences, len(sentences)))


def halved(chance: random.Random, _words: list[str], text: str) -> str:
    """Half of the sentences dropped, the others shuffled."""
    sentences = [one for one in _SENTENCE.split(text) if one]
    kept = chance.sample(sentences, max(1, (len(sentences) + 1) // 2))
    return " ".join(kept)


def embedded(chance: random.Random, words: list[str], text: str) -> str:
    """Within other text four times as long."""
    length = 2 * len(text.split())
    around = [" ".join(chance.choices(words, k=length)) for _ in range(2)]
    return f"{around[0]}\n\n{text}\n\n{around[1]}"


def replaced(share: float) -> Attack:
    """Words replaced by others, drawn as often as they occur."""

    def change(chance: random.Random, words: list[str], text: str) -> str:
        return " ".join(chance.choice(words) if chance.random() < share else word for word in text.split())

    return change


ATTACKS: dict[str, Attack] = {
    "verbatim": verbatim,
    "reformatted": reformatted,
    "30 % excerpt": excerpt,
    "sentences shuffled": shuffled,
    "half of them dropped, shuffled": halved,
    "in other text 4 x as long": embedded,
    **{f"{share} % of words replaced": replaced(share / 100) for share in (5, 10, 15, 20, 30)},
}


# The index and the gate.


def record(directory: Path, outputs: list[tuple[str, str]]) -> None:
    """Record ``outputs``, (prompt, answer) each, as a gateway does."""
    writer = FingerprintWriter(
        directory / "index", "bench", MASTER, MonthKeys(directory / "keys"), clock=lambda: NOW,
        limit=len(outputs) + 1, limit_characters=1 << 30,
    )  # fmt: skip
    writer.start()
    for number, (prompt, text) in enumerate(outputs):
        facts = (f"{number:020x}", 0, NOW, None, None, "tiny", ("llama-2",), "", "unknown", "chat")
        assert writer.submit(Finished(*facts), prompt, text)
    writer.close(600)
    assert writer.tally.written == len(outputs), "every answer is in the index"


def found(directory: Path, candidates: list[str]) -> dict[int, Tier]:
    """Return the tier of each candidate that the gate finds, by its number."""
    index = Index(directory / "index", MonthKeys(directory / "keys"), MASTER)
    records = (record_of({"text": text}, number, number + 1, "data.jsonl") for number, text in enumerate(candidates))
    result = check(records, [Indexed(index, Key(MASTER))], Use(lambda _ids: BARRED))
    return {hit.record: hit.tier for hit in result.hits}


def shares(tiers: dict[int, Tier], numbers: list[int]) -> tuple[float, float]:
    """Return the share of ``numbers`` found by A or B, and by C or better."""
    strong = sum(tiers.get(number, 0) >= Tier.B for number in numbers)
    return strong / len(numbers), sum(number in tiers for number in numbers) / len(numbers)


# The tables.


def recall(sample: int) -> Iterator[tuple[str, list[tuple[str, int, float, float]]]]:
    """Yield each attack with (class of text, number, strong, review or better)."""
    chance = random.Random(1)
    pool = [text for text, _ in passages("calibration", "public", "authored/first", "authored/en-long")]
    given = [text for by_writer in answers().values() for text in by_writer.values() if read(text).count >= 40]
    chosen = {"answers": given}
    for text in pool:
        seen = read(text)
        for least, most in LENGTHS:
            if least <= seen.count < most:
                name = f"{least}-{most - 1} words" if most < 100_000 else f"{least} words and more"
                chosen.setdefault("code or numbers" if formal(seen, seen.count) else name, []).append(text)
    chosen = {name: chance.sample(members, min(sample, len(members))) for name, members in sorted(chosen.items())}
    every = [text for members in chosen.values() for text in members]
    kinds = [name for name, members in chosen.items() for _ in members]
    classes = {name: [number for number, kind in enumerate(kinds) if kind == name] for name in chosen}
    words = [word for text in pool for word in text.split()]
    with tempfile.TemporaryDirectory() as folder:
        record(Path(folder), [("Tell me about it.", text) for text in every])
        for name, attack in ATTACKS.items():
            tiers = found(Path(folder), [attack(chance, words, text) for text in every])
            yield name, [(kind, len(numbers), *shares(tiers, numbers)) for kind, numbers in classes.items()]


def rewritten() -> Iterator[tuple[str, int, float, float]]:
    """Yield how answers were rewritten, how many, and the shares found by A or B, and by C or better."""
    asked, given = prompts(), answers()
    lines = (DATA / "answers" / "rewritten.jsonl").read_text(encoding="utf-8").splitlines()
    rows = [json.loads(line) for line in lines]
    with tempfile.TemporaryDirectory() as folder:
        record(
            Path(folder), [(asked[prompt], by_writer["a"]) for prompt, by_writer in given.items() if "a" in by_writer]
        )
        tiers = found(Path(folder), [row["text"] for row in rows])
    for how in dict.fromkeys(row["how"] for row in rows):
        numbers = [number for number, row in enumerate(rows) if row["how"] == how]
        yield how, len(numbers), *shares(tiers, numbers)


def unrelated() -> tuple[int, int, int, int, int]:
    """Return outputs, others, those of 40 words and more, and how many are held to be outputs by A or B, and by C."""
    authored = sorted(f"authored/{path.name.partition('.')[0]}" for path in (DATA / "screening" / "authored").iterdir())
    asks = (DATA / "screening" / "asks.txt").read_text(encoding="utf-8")
    every = list(passages("calibration", "unlabelled", "public", "redteam", *authored))
    every = [one for one in every if not any(line and line in asks for line in one.text.split("\n"))]
    # Passages of one package repeat its boilerplate, so every other package is in the index and no other text is.
    packages = set(sorted({source for text, source in passages("calibration")})[::2])
    outputs = [text for text, source in every if source in packages and read(text).count >= 40]
    others = [text for text, source in every if source not in packages and read(text).count >= 13]
    with tempfile.TemporaryDirectory() as folder:
        record(Path(folder), [("Tell me about it.", text) for text in outputs])
        tiers = found(Path(folder), others)
    strong = [number for number, tier in tiers.items() if tier >= Tier.B]
    for number in strong:
        print("unrelated, but held to be an output:", repr(others[number][:300]))
    return (
        len(outputs),
        len(others),
        sum(read(text).count >= 40 for text in others),
        len(strong),
        len(tiers) - len(strong),
    )


def same_prompt() -> tuple[int, int, int]:
    """Return answers by others to prompts whose answers are in the index, and how many are held to be these, A or B, C.

    Every writer's answers are the index once, and all others' are looked for in it.
    """
    asked, given = prompts(), answers()
    writers = sorted({writer for by_writer in given.values() for writer in by_writer})
    tried = strong = review = 0
    for writer in writers:
        outputs = [(asked[prompt], by_writer[writer]) for prompt, by_writer in given.items() if writer in by_writer]
        with tempfile.TemporaryDirectory() as folder:
            record(Path(folder), outputs)
            others = [
                (prompt, other, text)
                for prompt, by_writer in given.items() if writer in by_writer
                for other, text in by_writer.items() if other != writer
            ]  # fmt: skip
            tiers = found(Path(folder), [text for _, _, text in others])
        tried += len(others)
        strong += sum(tier >= Tier.B for tier in tiers.values())
        review += sum(tier is Tier.C for tier in tiers.values())
        for number, tier in sorted(tiers.items()):
            print(f"same prompt: {tier.name} {writer} <- {others[number][1]} {others[number][0]}")
    return tried, strong, review


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--sample", type=int, default=600, help="texts of each length")
    sample = parser.parse_args().sample
    for number, (name, rows) in enumerate(recall(sample)):
        if not number:
            print(
                f"{'recall: strong / review or better':32}",
                *(f"{kind} ({count})".rjust(26) for kind, count, _, _ in rows),
            )
        print(f"{name:32}", *(f"{strong:.3f} / {weak:.3f}".rjust(26) for _, _, strong, weak in rows), flush=True)
    for how, count, found_strong, found_weak in rewritten():
        print(f"{how} ({count})".ljust(32), f"{found_strong:.3f} / {found_weak:.3f}".rjust(26))
    outputs, records, long, strong, review = unrelated()
    print(f"records unrelated to {outputs} outputs: {records}, of which {long} with 40 words or more:", end=" ")
    print(f"{strong} strong, {review} for review")
    tried, strong, review = same_prompt()
    low, high = interval(strong, tried)
    print(f"others' answers to the same prompts: {tried}: {strong} strong ({low:.4f}-{high:.4f}), {review} for review")


if __name__ == "__main__":
    main()
