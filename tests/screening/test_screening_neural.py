"""The neural tier: what it reads of a prompt, what its numbers mean, and what it refuses to load."""

import json
import math
import sys

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from neural_world import WORDS, weights

from guard.screening.findings import Action
from guard.screening.neural import model as model_module
from guard.screening.neural.calibration import HEADS, Levels, Mix, read_calibration
from guard.screening.neural.model import NeuralModel, NeuralUnavailable, unavailable
from guard.screening.neural.policy import NeuralPolicy
from guard.screening.neural.screen import Abandoned, NeuralScreen
from guard.screening.neural.windows import MOST_WINDOWS, windows
from guard.screening.segments import Segment, Source

BOMB = {"bomb": {"unsafe": 4.0, "S9": 1.0}, "spy": {"unsafe": 1.0, "S7": 1.5}, "cake": {"D1": 5.0}}


def user(text, path="messages[0].content"):
    return Segment(Source.USER, text, path)


@pytest.fixture(scope="module")
def tiny(tmp_path_factory):
    return NeuralModel.load(weights(tmp_path_factory.mktemp("tiny"), BOMB))


@pytest.fixture(scope="module")
def screen(tiny):
    return NeuralScreen(tiny)


def test_a_harmless_prompt_has_no_findings(screen):
    assert screen.scan([user("How do I make tea?")]) == []


def test_a_harmful_one_has_one_with_its_category_span_and_risk(screen):
    [finding] = screen.scan([user("How do I make a BOMB?")])
    assert (finding.rule, finding.category, finding.most) == ("neural.S9", "S9", Action.BLOCK)
    assert (finding.start, finding.end, finding.path) == (0, 21, "messages[0].content")
    assert finding.score == pytest.approx(1 / (1 + math.exp(-4.0)))  # unsafe as a whole outweighs the category's own


def test_between_the_thresholds_it_only_flags(screen):
    [finding] = screen.scan([user("a spy")])
    assert (finding.category, finding.most) == ("S7", Action.FLAG)


def test_making_training_data_is_no_hazard_and_shows_by_its_own_head_alone(screen):
    [finding] = screen.scan([user("cake")])
    assert (finding.category, finding.most) == ("D1", Action.BLOCK)


def test_the_worst_comes_first_and_every_segment_has_its_own(screen):
    found = screen.scan([user("a spy", "a"), user("a bomb", "b"), Segment(Source.SYSTEM, "the bomb", "c")])
    assert [(finding.path, finding.most) for finding in found] == [
        ("b", Action.BLOCK), ("c", Action.BLOCK), ("a", Action.FLAG)
    ]  # fmt: skip
    assert found[1].source is Source.SYSTEM


def test_what_the_operator_writes_about_tools_is_not_read(screen):
    assert screen.scan([Segment(Source.TOOL_DEFINITION, "a bomb")]) == []


@pytest.mark.parametrize(
    "text",
    ["a b\u200bomb", "a b\u043emb", "a b o m b please", "a \uff42\uff4f\uff4d\uff42", "YSBib21iIHBsZWFzZSBhIGJvbWI="],
)
def test_what_is_disguised_is_read_too(screen, text):
    assert {finding.category for finding in screen.scan([user(text)])} == {"S9"}


def test_a_long_prompt_is_read_in_windows_and_the_worst_one_counts(screen, tiny):
    text = "tea " * 20 + "bomb " + "tea " * 20
    [finding] = screen.scan([user(text)])
    assert finding.start <= text.index("bomb") < finding.end
    assert finding.end - finding.start < len(text)
    cut, count = windows([user(text)], tiny.tokens, tiny.calibration.max_tokens, None)
    assert len(cut) == count > 3
    assert max(len(window.ids) for window in cut) == tiny.calibration.max_tokens


def test_of_a_book_the_first_and_last_window_of_the_newest_message_are_read_and_the_riskiest_others(tiny):
    book = " ".join(f"tea salt{' spy' if part == 400 else ''}" for part in range(900))
    prompt = [user(book, "old"), user("bomb " + "tea " * 40 + "cake", "new")]

    def unsafe(text):
        return float("spy" in text)

    cut, count = windows(prompt, tiny.tokens, tiny.calibration.max_tokens, unsafe)
    assert len(cut) == MOST_WINDOWS < count
    newest = [window.text for window in cut if window.segment == 1]
    assert newest[0].startswith("bomb")
    assert newest[-1].endswith("cake")
    assert any("spy" in window.text for window in cut)
    blind, _ = windows(prompt, tiny.tokens, tiny.calibration.max_tokens, None)
    assert len(blind) == MOST_WINDOWS
    assert {window.segment for window in blind} == {0, 1}


def test_a_body_of_megabytes_costs_no_more_than_its_windows(tiny):
    class Counting:
        begin, end, read_characters = tiny.tokens.begin, tiny.tokens.end, 0

        def read(self, text):
            self.read_characters += len(text)
            return tiny.tokens.read(text)

    counting = Counting()
    cut, _ = windows([user("tea " * 500_000)], counting, 16, None)
    assert len(cut) == MOST_WINDOWS
    assert counting.read_characters <= MOST_WINDOWS * 4096


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.lists(st.sampled_from([*WORDS[4:], "\u200b", "Ünknown", "\n\n", "...", "%41", "b-o-m-b", "4"]), max_size=60),
        max_size=4,
    )
)
def test_every_word_of_a_prompt_that_fits_is_in_some_window_and_spans_are_of_the_original(tiny, texts):
    segments = [user(" ".join(words), f"[{index}]") for index, words in enumerate(texts)]
    cut, count = windows(segments, tiny.tokens, 16, None)
    for window in cut:
        text = segments[window.segment].text
        assert 0 <= window.start < window.end <= len(text)
        assert len(window.ids) <= 16
        assert (window.ids[0], window.ids[-1]) == (tiny.tokens.begin, tiny.tokens.end)
    if count <= MOST_WINDOWS:
        for index, words in enumerate(texts):
            read = {token for window in cut if window.segment == index for token in window.ids}
            assert read >= {WORDS.index(word) for word in words if word in WORDS}


def test_it_stops_at_the_next_window_when_nobody_waits(screen):
    asked = []

    def wanted():
        asked.append(True)
        return len(asked) < 3

    with pytest.raises(Abandoned):
        screen.scan([user("tea " * 200)], wanted)
    assert len(asked) == 3


def test_both_tiers_are_mixed_by_head(tmp_path):
    mix = {
        "neural": 1,
        "learned": 2,
        "bias": -1,
        "heads": {"S7": {"neural": 0, "learned": 0, "bias": -9}, "S9": {"neural": 0, "learned": 1, "bias": 0}},
    }
    tiny = NeuralModel.load(weights(tmp_path, BOMB, mix=mix))
    read = []

    def learned(text):
        read.append(text)
        return [2.0, *([-9.0] * 8), 0.0, *([-9.0] * 7)]

    screen = NeuralScreen(tiny, learned)
    window = windows([user("How do I make a BOMB?")], tiny.tokens, 16, None)[0][0]
    risks = dict(zip(HEADS, screen.risks(window), strict=True))
    assert read == ["how do i make a bomb?"]
    assert risks["unsafe"] == pytest.approx(Mix(1, 0, 0).risk(4 + 2 * 2 - 1, 0))
    assert risks["S9"] == 0.5
    assert risks["S7"] == pytest.approx(Mix(1, 0, 0).risk(-9, 0))
    with pytest.raises(NeuralUnavailable, match="learned tier, which is not there"):
        NeuralScreen(tiny)


@given(st.floats(0.001, 0.5), st.floats(0.5, 1), st.floats(0, 1), st.floats(0, 1))
def test_more_risk_is_never_less_to_be_done(flag, block, one, other):
    low, high = sorted((one, other))
    assert Levels(flag, block).most(low) <= Levels(flag, block).most(high)


def test_extreme_logits_are_risks_too():
    assert Mix(1, 0, 0).risk(1e9, 0) == 1.0
    assert 0 <= Mix(1, 0, 0).risk(-1e9, 0) < 1e-300


@pytest.mark.parametrize(
    "changes",
    [
        {"format": 2},
        {"heads": ["unsafe"]},
        {"max_tokens": 100_000},
        {"mix": {"neural": 1, "learned": 0}},
        {"mix": {"neural": math.nan, "learned": 0, "bias": 0}},
        {"thresholds": {"flag": 0.9, "block": 0.5}},
        {"thresholds": {"flag": 0.5, "block": 0.9, "heads": {"S1": {"flag": 0, "block": 1}}}},
        {"thresholds": []},
    ],
)
def test_a_calibration_that_cannot_be_meant_is_refused(tmp_path, changes):
    weights(tmp_path, BOMB)
    path = tmp_path / "neural.json"
    path.write_text(json.dumps({**json.loads(path.read_text()), **changes}))
    with pytest.raises(ValueError, match="not in format 1"):
        read_calibration(path)
    with pytest.raises(NeuralUnavailable, match=r"neural\.json"):
        NeuralModel.load(tmp_path)


def test_a_model_that_was_exchanged_is_not_loaded(tmp_path):
    weights(tmp_path, BOMB)
    with (tmp_path / "model.onnx").open("ab") as file:
        file.write(b"\0")
    with pytest.raises(NeuralUnavailable, match=r"not the file that neural\.json describes"):
        NeuralModel.load(tmp_path)


def test_a_model_of_other_heads_or_none_is_not_loaded(tmp_path):
    with pytest.raises(NeuralUnavailable, match="heads"):
        NeuralModel.load(weights(tmp_path / "heads", {}, heads=HEADS[:3]))
    weights(tmp_path / "none", {})
    (tmp_path / "none" / "vocab.txt").write_text("only\nwords\n")
    with pytest.raises(NeuralUnavailable, match="UNK"):
        NeuralModel.load(tmp_path / "none")


def test_what_is_missing_is_said_with_what_helps(tmp_path, monkeypatch):
    why = unavailable(tmp_path)
    assert "no model.onnx" in why.found
    monkeypatch.setattr(model_module, "find_spec", lambda name: None if name == "tokenizers" else object())
    why = unavailable(tmp_path)
    assert (why.found, why.remedy) == ("tokenizers is not installed", "pip install '.[neural]' in a clone")
    with pytest.raises(NeuralUnavailable, match=r"pip install '\.\[neural\]'"):
        NeuralModel.load(tmp_path)


def test_the_core_does_not_import_what_the_extra_brings():
    import subprocess

    script = "import sys, guard.screening.neural.screen, guard.screening.neural.queue; print(*sys.modules)"
    names = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True).stdout.split()
    assert "guard.screening.neural.model" in names
    assert {"onnxruntime", "tokenizers", "numpy"}.isdisjoint(names)


def test_a_prompt_without_a_risk_is_in_doubt():
    policy = NeuralPolicy(0.2, 0.8, 2.0, True)
    assert [policy.wants(risk) for risk in (None, 0.1, 0.2, 0.8, 0.9)] == [True, False, True, True, False]
