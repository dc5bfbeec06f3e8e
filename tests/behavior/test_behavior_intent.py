"""A request that asks for training data is told from one that asks for an answer, by its words and by its schema."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from guard.behavior import intent as intents
from guard.behavior.intent import REASONS, Reason
from guard.behavior.observation import LONGEST, ends
from guard.behavior.profile import _SLOTS
from guard.behavior.shape import shape
from guard.screening.normalize import fold


def intent(texts, **how):
    return intents.intent(frozenset().union(*(intents.signs(fold(ends(text))) for text in texts)), **how)


def schema(*names):
    properties = {name: {"type": "string"} for name in names}
    return {"response_format": {"type": "json_schema", "json_schema": {"schema": {"properties": properties}}}}


@pytest.mark.parametrize(("text", "reason"), [
    ("Generate 50 diverse instruction/response pairs about cooking.", Reason.PAIRS),
    ("Write 200 prompts... produce question and answer pairs as JSONL", Reason.PAIRS),
    ("Come up with a set of 20 task instructions.", Reason.SELF_INSTRUCT),
    ("Rewrite the given prompt into a more complex version.", Reason.EVOLVE),
    ("#Given Prompt#: name a fruit", Reason.EVOLVE),
    ("For each prompt write a good answer and a worse one.", Reason.PREFERENCE),
    ("Give the chosen and the rejected response.", Reason.PREFERENCE),
    ("Think step by step and output all of your reasoning in JSON.", Reason.REASONING),
    ("Generate a **ser\u200bies**. Rewrite this instruction into something harder.", Reason.EVOLVE),
])  # fmt: skip
def test_templates_of_generation_have_reasons(text, reason):
    assert intent([text]).reasons == (() if reason is None else (reason,))


@pytest.mark.parametrize("text", [
    "Write 10 multiple choice questions about photosynthesis for year 8, with the right answer marked.",
    "Create 12 flashcards on Roman law with question and answer for my evening class.",
    "Generate 50 made-up customer records as a JSON array with the keys name, email.",
    "Translate the following instruction manual into German.",
    "Answer the question with nothing but the passages below.",
    "Rewrite this email into something friendlier.",
    "Which license allows fine-tuning?",
])  # fmt: skip
def test_lookalikes_have_none(text):
    assert intent([text]) == (0.0, ())


@pytest.mark.parametrize(("names", "reason"), [
    (("instruction", "output"), Reason.SCHEMA_PAIRS),
    (("Prompt", "Completion"), Reason.SCHEMA_PAIRS),
    (("prompt", "chosen", "rejected"), Reason.SCHEMA_PREFERENCE),
    (("conversations", "from", "value"), Reason.SCHEMA_PAIRS),
    (("reasoning", "answer"), Reason.REASONING),
    (("question", "answer"), None),
    (("answer", "sources"), None),
    (("name", "email"), None),
])  # fmt: skip
def test_a_schema_says_what_an_answer_is_for(names, reason):
    assert intent(["x"], shape=shape(schema(*names))).reasons == (() if reason is None else (reason,))


@pytest.mark.parametrize("document", [
    {"structured_outputs": {"json": '{"properties": {"chosen": {}, "rejected": {}}}'}},
    {"guided_json": {"type": "array", "items": {"properties": {"chosen": {}, "rejected": {}}}}},
    {"text": {"format": {"schema": {"properties": {"chosen": {}, "rejected": {}}}}}},
    {"tools": [{"function": {"parameters": {"properties": {"rows": {"items": {"properties": {"chosen": {}, "rejected": {}}}}}}}}]},
])  # fmt: skip
def test_schemas_are_found_wherever_a_dialect_puts_them(document):
    assert {"chosen", "rejected"} <= shape(document)


def test_a_schema_is_read_to_a_depth_and_a_number_of_names():
    deep = {"properties": {"chosen": {}}}
    for _ in range(200):
        deep = {"properties": {"level": deep}}
    assert "chosen" not in shape({"guided_json": deep})
    assert len(shape({"guided_json": {"properties": {f"n{n}": {} for n in range(256)}}})) == 256
    assert shape({"guided_json": "{not json"}) == shape({"guided_json": "[" * 10_000}) == frozenset()


def test_reasons_add_up_and_never_beyond_one():
    alone, both = intent(["x"], d1=0.8), intent(["#Given Prompt#: x"], d1=0.8)
    assert alone.score == pytest.approx(0.8)
    assert alone.score < both.score <= 1.0
    assert both.reasons == (Reason.D1, Reason.EVOLVE)


def test_log_probabilities_and_reasoning_are_figures_and_no_evidence():
    found = intent(["Output your complete reasoning."], logprobs=True)
    assert set(found.reasons) == {Reason.REASONING, Reason.LOGPROBS}
    assert found.score == 0.0


PIECES = """come up with|generate|create|write|20|several|diverse|new|a set of|task|instructions|instruction|prompt|prompts
query|question|answer|answers|response|output|completion|pairs|pair|and|its|with|jsonl|one object per line|keys|key|:|"|/
do not repeat|task pool|seed tasks|continue|rewrite|the given|into|more complex|harder|#given|prompt#|instruction#|add one
more constraints/requirements|increase the depth|of the|chosen|preferred|rejected|dispreferred|one good|a better|and one
bad|worse|and a|unhelpful|show|include|all|your|full|reasoning|thoughts|think step by step|<think>""".replace(
    "\n", "|"
).split("|")
joined = st.lists(st.tuples(st.sampled_from(PIECES), st.sampled_from(["", " ", " ", " "])), min_size=2, max_size=9)


@settings(max_examples=100, deadline=None)
@given(joined.map(lambda pieces: "".join(piece + space for piece, space in pieces)))
@example("promptanswer: write 20 promptanswer")
@example("create a taskresponsepair jsonl")
def test_what_is_looked_for_first_hides_no_pattern(text):
    folded = fold(text)
    assert intents.signs(folded) == {sign.reason for sign in intents._SIGNS if sign.pattern.search(folded)}


def test_a_long_text_is_read_from_both_ends():
    filler = "the meadow and the harbor " * 4000
    assert len(ends(filler)) <= LONGEST + 1
    for text in (f"#Given prompt# {filler}", f"{filler} #Given prompt#"):
        assert Reason.EVOLVE in intent([text]).reasons


def test_every_reason_has_a_place_in_the_stored_profile():
    assert len(REASONS) <= _SLOTS
