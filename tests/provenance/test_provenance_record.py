"""Every text of a record is looked at, its field says whether it answers, and what the record claims is taken down."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.provenance.record import DEEPEST, MOST_CHOICES, record_of

VALUES = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-99, 99), st.floats(), st.text(max_size=12)),
    lambda inner: st.one_of(st.lists(inner, max_size=3), st.dictionaries(st.text(max_size=4), inner, max_size=3)),
    max_leaves=6,
)


def texts(document, *, answers=None):
    spans = record_of(document, 0, 1).spans
    return [span.text for span in spans if answers is None or span.answers is answers]


@pytest.mark.parametrize(
    ("document", "answering"),
    [
        ("a text by itself", ["a text by itself"]),
        ({"text": "T"}, ["T"]),
        ({"prompt": "P", "completion": "C"}, ["C"]),
        ({"instruction": "I", "input": "X", "output": "O"}, ["O"]),
        ({"Question": "Q", "Response": "R"}, ["R"]),
        ({"messages": [{"role": "system", "content": "S"}, {"role": "user", "content": "U"}, {"role": "assistant", "content": "A"}]}, ["A"]),
        ({"messages": [{"role": "assistant", "content": [{"type": "text", "text": "A"}], "reasoning_content": "R"}]}, ["A", "R"]),
        ({"messages": [{"role": "user", "content": [{"type": "text", "text": "U"}]}]}, []),
        ({"messages": [{"role": "assistant", "tool_calls": [{"function": {"name": "n", "arguments": "{}"}}]}]}, ["{}"]),
        ({"messages": [{"role": "tool", "content": "T"}]}, []),
        ({"conversations": [{"from": "human", "value": "H"}, {"from": "gpt", "value": "G"}]}, ["G"]),
        ({"prompt": "P", "chosen": "C", "rejected": "R"}, ["C", "R"]),
        ({"chosen": [{"role": "user", "content": "U"}, {"role": "assistant", "content": "C"}]}, ["C"]),
        ({"prompt": "P", "responses": ["R1", "R2"], "ranks": [2, 1]}, ["R1", "R2"]),
        ({"prompt": "P", "response_a": "A", "Response-B": "B", "answer2": "C"}, ["A", "B", "C"]),
        ({"instruction": "I", "completions": [{"model": "m", "response": "R", "critique": "K"}]}, ["R"]),
        ({"response": {"body": {"choices": [{"index": 0, "message": {"role": "assistant", "content": "A"}}]}}}, ["A"]),
        ({"deep": {"down": {"output": ["O1", {"text": "O2"}, ["O3"]]}}}, ["O1", "O2", "O3"]),
    ],
)  # fmt: skip
def test_answers_are_told_from_the_rest_by_their_fields(document, answering):
    assert texts(document, answers=True) == answering


@settings(max_examples=80)
@given(VALUES.filter(lambda value: isinstance(value, str | dict)))
def test_no_text_of_a_record_is_overlooked(document):
    def every(value):
        if isinstance(value, str):
            return [value]
        inner = value if isinstance(value, list) else list(value.values()) if isinstance(value, dict) else []
        return [text for item in inner for text in every(item)]

    assert sorted(texts(document)) == sorted(every(document))


def test_a_conversation_written_as_json_in_one_text_is_read_as_its_turns():
    turns = [{"role": "user", "content": "U"}, {"role": "assistant", "content": 'say "A"\nor B'}]
    spans = record_of({"messages": json.dumps(turns, indent=1), "id": "7"}, 0, 1).spans
    assert [(span.path, span.text, span.answers) for span in spans] == [
        ("messages[0].role", "user", False),
        ("messages[0].content", "U", False),
        ("messages[1].role", "assistant", False),
        ("messages[1].content", 'say "A"\nor B', True),
        ("id", "7", False),
    ]


@pytest.mark.parametrize(
    "text", ['[{"a": 1}]', '[{"role": "user"}, 7]', '[{"role": ', "[]", "[x]", '[{"role": "\ud800"}]']
)
def test_other_texts_in_brackets_stay_as_they_are(text):
    assert texts({"output": text}, answers=True) == [text]


def test_receipt_ids_are_found_in_any_field():
    record = record_of({"meta": {"guard": ["r-7f3a-0", "r-", "see r-7f3a-0", "r-a-b-12"]}, "text": "x"}, 3, 9, "a.json")
    assert record.receipts == ("r-7f3a-0", "r-a-b-12")
    assert (record.number, record.line, record.file) == (3, 9, "a.json")
    assert record.spans[0].path == "meta.guard[0]"


@pytest.mark.parametrize(
    ("document", "receipts"),
    [
        ({"guard": {"receipt": "r-7f3a-0"}}, ["r-7f3a-0"]),
        ({"headers": {"X-Guard-Receipt": "r-7f3a-0..2"}}, ["r-7f3a-0", "r-7f3a-1", "r-7f3a-2"]),
        ({"x_guard_receipt": "r-7f3a-0, r-9b-4"}, ["r-7f3a-0", "r-9b-4"]),
        ({"guard_receipts": ["r-7f3a-0", " r-9b-4 "]}, ["r-7f3a-0", "r-9b-4"]),
        ({"choices": [{"message": {"role": "assistant", "content": "r-7f3a-1"}}]}, ["r-7f3a-1"]),
        ({"receipt": "paid, r-7f3a, thank you"}, []),
        ({"text": "r-7f3a-0, r-9b-4"}, []),
        ({"receipt": "r-7f3a-5..3"}, []),
        ("r-7f3a-0", ["r-7f3a-0"]),
    ],
)
def test_receipts_are_read_as_headers_and_answers_carry_them(document, receipts):
    assert list(record_of(document, 0, 1).receipts) == receipts


def test_a_header_names_no_more_choices_than_a_request_may_have():
    assert len(record_of({"receipt": "r-7f3a-0..999999"}, 0, 1).receipts) == MOST_CHOICES


@pytest.mark.parametrize(
    ("document", "model"),
    [
        ({"model": "Meta/Llama-3", "text": "x"}, "Meta/Llama-3"),
        ({"text": "x", "metadata": {"source_model": "m"}}, "m"),
        ({"Teacher": "m", "generator": "other"}, "m"),
        ({"model_name": "m"}, "m"),
        ({"model": {"id": "m"}, "generator": ""}, None),
        ({"messages": [{"role": "model", "model": "m", "content": "x"}]}, None),
        ({"text": "x"}, None),
        ("model", None),
    ],
)
def test_the_model_is_the_one_the_record_names_itself(document, model):
    assert record_of(document, 0, 1).model == model


@pytest.mark.parametrize(
    ("value", "found"), [(7, "a number"), (1.5, "a number"), (None, "null"), (True, "true or false"), ([], "a list")]
)
def test_what_is_no_object_and_no_text_is_no_record(value, found):
    with pytest.raises(ValueError, match=f"a record is {found}; allowed: an object or a text"):
        record_of(value, 0, 1)


@pytest.mark.parametrize("wrap", [lambda inner: {"a": inner}, lambda inner: [inner], lambda inner: [{"role": inner}]])
def test_nesting_has_a_bottom(wrap):
    document = "deep"
    while True:
        try:
            assert texts({"a": document}) == ["deep"]
        except ValueError as error:
            assert f"allowed: {DEEPEST} levels" in str(error)  # noqa: PT017 - the loop is about where it is raised
            break
        document = wrap(document)


def test_names_are_remembered_only_so_many(monkeypatch):
    from guard.provenance import record

    monkeypatch.setattr(record, "_kinds", {})
    monkeypatch.setattr(record, "_MOST_NAMES", 20)
    for number in range(50):
        record_of({f"output {number}": "x", "y" * 1000 + str(number): "z"}, 0, 1)
    assert len(record._kinds) == record._MOST_NAMES
    assert not any(len(name) > record._LONGEST_NAME for name in record._kinds)
    assert texts({"OUTPUT": "x"}, answers=True) == ["x"]
