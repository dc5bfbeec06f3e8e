"""The weights file: what is written is read, the same bytes each time, and a damaged file says so."""

import json
import math
from dataclasses import replace
from hashlib import sha256

import pytest
from learned_world import ZAP, weights

from guard.screening.learned.reading import CODES
from guard.screening.learned.weights import MAGIC, SHIPPED, Thresholds, Weights, shipped
from guard.screening.train.corpus import HEADS


def test_what_is_written_is_read(tmp_path):
    made = weights(ZAP)
    made.write(tmp_path / "one.bin")
    made.write(tmp_path / "two.bin")
    assert Weights.read(tmp_path / "one.bin") == made
    assert (tmp_path / "one.bin").read_bytes() == (tmp_path / "two.bin").read_bytes()


def test_the_shipped_file_is_small_and_has_the_heads_that_are_read():
    assert SHIPPED.stat().st_size < 5_000_000
    assert shipped().heads == HEADS == ("unsafe", *CODES, "D1")
    assert shipped() is shipped()
    for thresholds in (shipped().unsafe, shipped().d1):
        assert thresholds.flag < thresholds.block


def damaged(content, how):
    length = int.from_bytes(content[8:12], "little")
    header, table = content[12 : 12 + length], content[12 + length :]

    def file(header):
        return MAGIC + len(header).to_bytes(4, "little") + header + table

    facts = json.loads(header)
    return {
        "empty": b"",
        "magic": b"GUARDX1\n" + content[8:],
        "short table": content[:-1],
        "long table": content + b"\0",
        "length beyond the end": content[:8] + b"\xff\xff\xff\xff" + content[12:],
        "no JSON": file(b"{" + header),
        "no bias": file(json.dumps({name: value for name, value in facts.items() if name != "biases"}).encode()),
        "other heads": file(json.dumps({**facts, "heads": facts["heads"][::-1]}).encode()),
        "a scale missing": file(json.dumps({**facts, "scales": facts["scales"][1:]}).encode()),
        "no numbers": file(json.dumps({**facts, "unsafe": {"flag": "low", "block": 1}}).encode()),
    }[how]


@pytest.mark.parametrize(
    ("how", "said"),
    [
        ("empty", "no weights of tier 2"),
        ("magic", "no weights of tier 2"),
        ("short table", "a table of 4456447 bytes; allowed: 4456448"),
        ("long table", "a table of 4456449 bytes; allowed: 4456448"),
        ("length beyond the end", "a table of 0 bytes"),
        ("no JSON", "header"),
        ("no bias", "header.*biases"),
        ("other heads", "header.*heads"),
        ("a scale missing", "header.*scales"),
        ("no numbers", "header"),
    ],
)
def test_a_damaged_file_says_what_is_wrong(tmp_path, how, said):
    path = tmp_path / "weights.bin"
    weights().write(path)
    content = damaged(path.read_bytes()[:-32], how)
    path.write_bytes(content + sha256(content).digest())
    with pytest.raises(ValueError, match=f"{path.name}: .*{said}"):
        Weights.read(path)


@pytest.mark.parametrize("at", [9, 200, 1_000_000, -1])
def test_one_bit_more_or_less_is_noticed(tmp_path, at):
    path = tmp_path / "weights.bin"
    weights().write(path)
    content = bytearray(path.read_bytes())
    content[at] ^= 1
    path.write_bytes(content)
    with pytest.raises(ValueError, match=r"weights\.bin: damaged"):
        Weights.read(path)


@pytest.mark.parametrize("wrong", [{"scales": (math.nan,) * 17}, {"unsafe": Thresholds(2.0, 1.0)}])
def test_numbers_that_never_find_anything_are_refused(tmp_path, wrong):
    path = tmp_path / "weights.bin"
    replace(weights(), **wrong).write(path)
    with pytest.raises(ValueError, match="not finite, or block is below flag"):
        Weights.read(path)


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"gone\.bin"):
        Weights.read(tmp_path / "gone.bin")
