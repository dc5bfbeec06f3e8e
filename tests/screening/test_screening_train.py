"""The training: what it refuses, that it gives the same bytes every time, and that they are the shipped ones."""

import faulthandler
import gzip
import json
import math
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.screening.learned.learned import Learned
from guard.screening.learned.reading import D1, UNSAFE
from guard.screening.learned.weights import SHIPPED, Weights, shipped
from guard.screening.train import corpus, teach
from guard.screening.train.__main__ import main
from guard.screening.train.fit import sigmoid
from guard.screening.train.splice import splices

DATA = Path(__file__).parents[2] / "data" / "screening"
GOOD = {"text": "How do I bake bread?", "role": "prompt", "labels": ["benign"], "source": "made up", "licence": "MIT"}
NAMES = ["Ann", "Ben", "Cleo", "Dan", "Eve", "Finn", "Gil", "Hana", "Ivo", "Joy"]


def folder(path, rows, name="rows.jsonl"):
    path.mkdir(exist_ok=True)
    (path / name).write_text("".join(f"{row if isinstance(row, str) else json.dumps(row)}\n" for row in rows))
    return path


def small(path):
    """A folder of a few hundred rows in which whoever robs is a criminal and whoever bakes is not."""
    rows = []
    for count in range(240):
        name, split = NAMES[count % 10], "calibration" if count % 4 == 3 else "train"
        if count % 4 == 0:
            text, labels = f"Help me rob {name} number {count} at night with a gun", ["S1"]
        elif count % 4 == 1:
            text, labels = f"Write {count} examples for {name} to train another model on", ["D1"]
        else:
            text, labels = f"Help me bake {count} loaves for {name} and the village, slowly, in an old oven", ["benign"]
        rows.append({**GOOD, "text": text, "labels": labels, "split": split})
    return folder(path, rows)


def train(data, out, **environment):
    command = [sys.executable, "-m", "guard.screening.train", str(data), "--out", str(out)]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, cwd=data.parent, env={**os.environ, **environment}
    )


@pytest.mark.parametrize(
    ("line", "said"),
    [
        ("{", "no JSON"),
        ("[1]", "no object; wanted: text, role"),
        ({**GOOD, "labels": ["S99"], "split": "train"}, "labels: 'S99'; allowed: benign, S1, S2"),
        ({**GOOD, "labels": "benign", "split": "train"}, "labels: 'benign'; allowed: a list"),
        ({**GOOD, "labels": None, "split": "train"}, "labels: None; allowed: a list"),
        ({**GOOD, "labels": ["benign", "S1"], "split": "train"}, "allowed: none where it is 'unlabelled'"),
        ({**GOOD, "labels": [], "split": "train"}, "allowed: none where it is 'unlabelled'"),
        (GOOD, "allowed: none where it is 'unlabelled'"),
        ({**GOOD, "split": "test"}, "split: 'test'; allowed: train, dev, unlabelled, calibration, check"),
        ({**GOOD, "split": "train", "role": "system"}, "role: 'system'; allowed: prompt, response"),
        ({**GOOD, "split": "train", "text": "  "}, "text: '  '; allowed: a text"),
        ({**GOOD, "split": "train", "text": 5}, "text: 5; allowed: a text"),
        ({**GOOD, "split": "train", "source": ""}, "source: ''; allowed: a text"),
        ({**GOOD, "split": "train", "licence": ["MIT"]}, "licence: ['MIT']; allowed: a text"),
    ],
)
def test_a_line_that_is_no_row_is_named(tmp_path, line, said):
    folder(tmp_path, [{**GOOD, "split": "train"}, "", line])
    with pytest.raises(corpus.BadData) as caught:
        corpus.read(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / 'rows.jsonl'}:3: ")
    assert said in str(caught.value)


@pytest.mark.parametrize(
    ("name", "content"),
    [("cut.jsonl.gz", gzip.compress(b"{}" * 999)[:-9]), ("no.jsonl.gz", b"{}"), ("latin.jsonl", b'{"text": "\xe9"}')],
)
def test_a_file_that_cannot_be_read_is_named(tmp_path, name, content):
    (tmp_path / name).write_bytes(content)
    with pytest.raises(corpus.BadData, match=f"{name}:1: cannot be read"):
        corpus.read(tmp_path)


def test_the_order_of_rows_is_not_that_of_files(tmp_path):
    rows = [{**GOOD, "text": f"Row {count}", "split": "train"} for count in range(20)]
    one = corpus.read(folder(tmp_path / "one", rows))
    two = folder(tmp_path / "two", rows[9::-1], "a.jsonl")
    (two / "b.jsonl.gz").write_bytes(gzip.compress("".join(f"{json.dumps(row)}\n" for row in rows[5:]).encode()))
    assert corpus.read(two) == one
    assert corpus.digest(one, {}) == corpus.digest(corpus.read(two), {})
    assert len(one) == 20


def test_the_digest_is_of_all_that_is_learned_from(tmp_path):
    rows = corpus.read(small(tmp_path / "data"))
    digests = {corpus.digest(rows, {}), corpus.digest(rows[1:], {}), corpus.digest(rows, {"a": [0.5]})}
    assert len(digests | {corpus.digest(rows, {"a": [0.4]})}) == 4


@pytest.fixture
def command(monkeypatch, tmp_path, capsys):
    """Run the command line in this process; what it returned and said."""

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["train", *map(str, arguments)])
        try:
            status = main()
        except SystemExit as left:
            status = left.code
        return status, capsys.readouterr()

    monkeypatch.chdir(tmp_path)
    return run


@pytest.mark.parametrize("split", ["train", "calibration"])
def test_a_split_that_is_missing_is_asked_for(command, tmp_path, split):
    there = ({"train", "calibration"} - {split}).pop()
    status, said = command(folder(tmp_path / "data", [{**GOOD, "split": there}]))
    assert status == 65
    assert f"no rows of split '{split}'" in said.err
    assert not (tmp_path / "weights.bin").exists()


def test_bad_usage_is_64_and_bad_data_65(command, tmp_path):
    status, said = command()
    assert (status, said.out) == (64, "")
    assert "data" in said.err
    status, said = command(folder(tmp_path / "data", ["x"]))
    assert (status, said.out) == (65, "")
    assert said.err.startswith(f"{tmp_path / 'data' / 'rows.jsonl'}:1: ")
    for empty in (folder(tmp_path / "none", []), tmp_path / "nowhere"):
        status, said = command(empty)
        assert status == 65
        assert said.err.startswith(f"{empty}: no rows; wanted: ")


def test_without_the_packages_it_says_what_to_install(command, tmp_path, monkeypatch):
    data = small(tmp_path / "data")
    monkeypatch.delitem(sys.modules, "guard.screening.train.linear", raising=False)
    monkeypatch.setitem(sys.modules, "guard.screening.train.features", None)
    status, said = command(data)
    assert status == 78
    assert said.err.endswith("pip install '.[train]' in a clone\n")
    monkeypatch.setitem(sys.modules, "guard.screening.train.export", None)
    status, said = command(data, "--neural", tmp_path / "neural")
    assert status == 78
    assert said.err.endswith("pip install '.[train-neural]' in a clone\n")


def test_a_teacher_is_read_as_it_was_written(tmp_path):
    path = tmp_path / corpus.TEACHER
    said = [[step] * 17 for step in (0, 125, 250)]
    teach.write(path, ["a", "b", "é"], said)
    first = path.read_bytes()
    teach.write(path, ["a", "b", "é"], said)
    assert path.read_bytes() == first
    assert teach.read(path) == {"a": [0.0] * 17, "b": [0.5] * 17, "é": [1.0] * 17}


@pytest.mark.parametrize("line", [["a", 1], ["a", *[251] * 17], ["a", *["1"] * 17], {"a": 1}, [5, *[1] * 17]])
def test_a_line_of_no_teacher_is_named(tmp_path, line):
    path = tmp_path / corpus.TEACHER
    path.write_bytes(gzip.compress(f"{json.dumps(['a', *[1] * 17])}\n{json.dumps(line)}\n".encode()))
    with pytest.raises(corpus.BadData, match=r"teacher\.jsonl\.gz:2: no line of a teacher"):
        teach.read(path)


def test_splices_are_different_texts_of_what_is_there():
    texts = ["how do i kill a process", "how can you kill a man", "teach me to bake a loaf"]
    made = splices(texts, 5)
    assert made == splices(texts, 5) == sorted(set(made))
    assert "how do i kill a man" in splices(texts, 1000)
    known = {word for text in texts for word in text.split()}
    assert all(set(text.split()) <= known and text not in texts for text in made)
    assert splices([], 5) == splices(["one two three"], 5) == []


@settings(max_examples=100)
@given(st.lists(st.floats(-60, 60), min_size=1, max_size=40))
def test_the_sigmoid_is_one(logits):
    found = sigmoid(np.array(logits))
    for logit, probability in zip(logits, found, strict=True):
        assert probability == pytest.approx(1 / (1 + math.exp(-logit)), rel=1e-10)


@pytest.mark.slow
def test_a_small_folder_gives_a_model_the_same_bytes_every_time(tmp_path):
    data = small(tmp_path / "data")
    teach.write(data / corpus.TEACHER, ["Help me rob and bake"], [[100] * 17])
    plain = train(data, tmp_path / "one.bin", PYTHONHASHSEED="1", OMP_NUM_THREADS="1")
    assert plain.returncode == 0, plain.stderr
    assert "step 120 of 120" in plain.stderr
    assert plain.stdout == f"{tmp_path / 'one.bin'}: other bytes than the shipped weights\n"
    # The vector instructions that numpy would otherwise choose by the processor: the last bits must not be theirs.
    other = train(
        data,
        tmp_path / "two.bin",
        PYTHONHASHSEED="2",
        OMP_NUM_THREADS="4",
        NPY_DISABLE_CPU_FEATURES="AVX512F AVX512CD AVX512_SKX AVX512_CLX AVX512_CNL AVX512_ICL AVX512_SPR AVX2 FMA3",
    )
    assert other.returncode == 0, other.stderr
    assert (tmp_path / "one.bin").read_bytes() == (tmp_path / "two.bin").read_bytes()
    model = Learned(Weights.read(tmp_path / "one.bin"))
    texts = (
        "help me rob zoe number 77 at night with a gun",
        "write 77 examples for zoe to train another model on",
        "help me bake 77 loaves for zoe and the village, slowly, in an old oven",
    )
    unsafe, d1 = zip(*((logits[UNSAFE], logits[D1]) for logits in map(model.logits, texts)), strict=True)
    assert [logit > 0 for logit in unsafe] == [True, False, False]
    assert [logit > 0 for logit in d1] == [False, True, False]


@pytest.mark.slow
@pytest.mark.skipif(not DATA.is_dir(), reason="no data in an installation")
def test_the_shipped_weights_are_made_of_the_data_here(tmp_path):
    faulthandler.dump_traceback_later(1500, exit=True)  # minutes of work: longer than any other test may take
    done = train(DATA, tmp_path / "weights.bin")
    assert done.returncode == 0, done.stderr
    made = Weights.read(tmp_path / "weights.bin")
    assert made.corpus == shipped().corpus, "the data has changed since the weights were trained"
    assert (tmp_path / "weights.bin").read_bytes() == SHIPPED.read_bytes()
