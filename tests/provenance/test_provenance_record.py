"""Every text of a record is looked at, its field says whether it answers, and what the record claims is taken down."""

import json

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.provenance.record import DEEPEST, MOST_CHOICES, MOST_RECEIPTS, UNSEEN, record_of

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
def test_no_text_of_a_record_is_overlooked_and_nothing_is_invented(document):
    def every(value):
        if isinstance(value, str):
            return [value]
        inner = value if isinstance(value, list) else list(value.values()) if isinstance(value, dict) else []
        return [text for item in inner for text in every(item)]

    spans = record_of(document, 0, 1).spans
    assert sorted(span.text for span in spans if not span.path.endswith("[]")) == sorted(every(document))


LONG = " ".join(f"word{number} said" for number in range(20))


@pytest.mark.parametrize("value", [1, None, "x", ["x"], {"a": "x"}])
def test_a_name_that_is_a_text_is_looked_at_and_paths_show_its_beginning(value):
    found = {span.text: span for span in record_of({"m": {LONG: value}}, 0, 1).spans}
    assert (found[LONG].path, found[LONG].answers) == (f"m.{LONG[:24]}... (name)", False)
    assert all(len(span.path) < 50 for span in found.values())
    assert LONG[:-8] not in texts({" ".join(LONG.split()[:12]): value})


@pytest.mark.parametrize("around", ["%s", "  %s", "\n\t%s \n"])
@pytest.mark.parametrize(
    "value",
    [
        {"q": "x", "a": LONG},
        [{"q": "x", "a": LONG}],
        [LONG, 7],
        LONG,
        {LONG: 1},
        [[[{"deep": [LONG]}]]],
        json.dumps({"again": json.dumps([LONG])}),
    ],
)
def test_the_texts_in_a_text_that_is_json_are_looked_at_too(around, value):
    text = around % json.dumps(value)
    found = texts({"raw": text})
    assert found.count(LONG) == 1
    assert found.count(text) == 1  # as it stands, too


def test_in_json_within_a_text_names_and_turns_tell_what_answers():
    turn = {"messages": [{"role": "user", "content": "Q"}, {"role": "assistant", "content": LONG}]}
    assert texts({"raw": json.dumps(turn)}, answers=True) == [LONG]
    arguments = json.dumps({"city": "Paris", "text": "a short text"})
    assert texts({"output": arguments}, answers=True) == ["a short text", arguments]
    said = {"messages": [{"role": "user", "content": json.dumps({"output": LONG})}]}
    assert texts(said, answers=True) == []


@pytest.mark.parametrize(
    "text", ['{"role": "a"', "[1, 2, 3, 4, 5, 6", '"quoted" words and others', "{not: json, at: all}"]
)
def test_what_only_begins_like_json_stays_one_text(text):
    assert texts({"output": text}) == [text]


def test_json_in_json_has_a_bottom_and_no_depth_there_is_an_error():
    text = LONG
    for _ in range(12):
        text = json.dumps([text])
    assert len(texts({"raw": text})) == 9
    deep = "[" * 150 + json.dumps(LONG) + "]" * 150
    assert texts({"raw": deep}) == [deep]


@pytest.mark.parametrize(
    ("pieces", "joined"),
    [
        (["a line of a text", "and the next one"], "a line of a text\nand the next one"),
        (
            ["if this:", "    return that", "else:", "    pass it on"],
            "if this:\n    return that\nelse:\n    pass it on",
        ),
        (["The", " quick", " bro", "wn", " fox", " jumps", " over"], "The quick brown fox jumps over"),
        (["▁The", "▁qui", "ck", "▁brown", "▁fox", "▁jumps"], " The quick brown fox jumps"),
        (["The", "Ġquick", "Ġbrown", "Ċ", "Ġfox", "Ġjumps", "Ġover"], "The quick brown\n fox jumps over"),
        (["a line of a text", "x" * 400, 7, "and the next one"], "a line of a text\nand the next one"),
    ],
)
def test_short_texts_of_a_list_are_looked_at_as_the_one_they_make_up(pieces, joined):
    found = [(span.path, span.text, span.answers) for span in record_of({"output": pieces}, 0, 1).spans]
    assert found[-1] == ("output[]", joined, True)
    assert len(found) == 1 + sum(isinstance(piece, str) for piece in pieces)


@pytest.mark.parametrize("pieces", [["one", "two"], ["a text by itself that is long enough"], ["x" * 400, "y" * 400]])
def test_lists_that_make_up_nothing_are_looked_at_one_by_one(pieces):
    assert texts({"output": pieces}) == pieces


def test_bytes_that_are_no_text_are_counted():
    record = record_of({"image": {"bytes": UNSEEN}, "more": [UNSEEN, None], "label": "cat"}, 0, 1)
    assert (record.unseen, [span.text for span in record.spans]) == (2, ["cat"])


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


def test_a_record_names_no_more_receipts_than_one_may():
    names = [f"r-{number}-0..999999" for number in range(MOST_RECEIPTS // MOST_CHOICES)]
    assert len(record_of({"receipt": " ".join(names)}, 0, 1).receipts) == MOST_RECEIPTS
    with pytest.raises(ValueError, match=r"a record names more than 65,536 receipts; allowed: as many or fewer"):
        record_of({"receipt": " ".join([*names, "r-x-0"])}, 0, 1)


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
