"""What is allowed is said in Guard's words, whatever pydantic calls the mistake."""

import re
from datetime import UTC, datetime

import pytest
from pydantic import BaseModel

from guard.policy.config import Config
from guard.policy.document import Document, PolicyError, parse
from guard.policy.pack import Pack
from guard.policy.rulefile import RuleFile
from guard.policy.settings.section import Section
from guard.policy.validation import LISTS, MAPPINGS, OWN, WORDINGS, salvage, validate

RELAX = "screening: {relax: [{category: S6, owner: o, reason: r, expires: %s}]}"

WORDED = {
    "tuple_type": ("surface: {enabled: embeddings}", "a list, e.g. [batch]"),
    "a tuple of texts": ("policies: mine", "a list, e.g. [my-licenses]"),
    "a tuple of sections": ("identity: {keys: k}", "a list, e.g. [{name: desk, key_env: DESK_KEY}]"),
    "model_type": ("models: {m: llama-3.1}", "a mapping such as {license: llama-3.1}"),
    "a section": ("usage: 5", "a mapping such as {at_limit: observe}"),
    "dict_type": ("models: [m]", "a mapping such as {tiny: {license: llama-3.1}}"),
    "limits": ("usage: {limits: 5}", "a mapping such as {llama-3.1: 1000000}"),
    "string_type": ("state_dir: 5", "text"),
    "string_too_short": ("identity: {keys: [{name: '', key_env: K}]}", "text that is not empty"),
    "int_type": ("surface: {max_body: [1]}", "a whole number"),
    "int_parsing": ("surface: {max_body: many}", "a whole number"),
    "int_parsing_size": ("surface: {max_body: '" + "9" * 5000 + "'}", "a whole number"),
    "int_from_float": ("surface: {max_body: 1.5}", "a whole number"),
    "finite_number": ("surface: {max_body: .inf}", "a whole number"),
    "float_type": ("upstream_timeouts: {read: []}", "a number"),
    "float_parsing": ("upstream_timeouts: {read: long}", "a number"),
    "bool_type": ("evidence: {audit: []}", "true or false"),
    "bool_parsing": ("evidence: {audit: maybe}", "true or false"),
    "greater_than": ("surface: {max_depth: 0}", "a number above 0"),
    "less_than_equal": ("surface: {max_depth: 1000}", "a number up to 512"),
    "date_type": (RELAX % "[]", "a date such as 2027-06-30"),
    "date_parsing": (RELAX % "soon", "a date such as 2027-06-30"),
    "date_from_datetime_parsing": (RELAX % "2027-06-30T5", "a date such as 2027-06-30"),
    "date_from_datetime_inexact": (RELAX % "2027-06-30T05:00:00", "a date such as 2027-06-30"),
    "literal_error": ("mode: 5", "enforce, shadow"),
}


@pytest.mark.parametrize("kind", WORDED)
def test_a_type_is_named_in_words(kind):
    text, allowed = WORDED[kind]
    with pytest.raises(PolicyError) as caught:
        validate(parse(text, "f"), Config)
    assert [problem.allowed for problem in caught.value.problems] == [allowed]


PYDANTIC = re.compile(r"Input should|String should|should have|should match|valid (tuple|dictionary|list|string|integer)|"
                      r"instance of|unable to|Keys should|Extra inputs|Field required|\{(?!(?:text|file|month|name)\})[a-z_]+\}")  # fmt: skip
WRONG = (None, True, 0, -1, 5, 1.5, 10**400, float("inf"), float("nan"), "", "x", "2026-99-99", "\ud800", b"\xff", [], [None],
         [[]], ["x"], {}, {"x": 1}, {5: 1}, {True: 1}, {None: 1}, datetime(2026, 1, 2, 3, tzinfo=UTC))  # fmt: skip


def places(model, at=()):
    """Every location in a model at which something else may be put, through lists and mappings."""
    for field, info in model.model_fields.items():
        name, shape = info.alias or field, str(info.annotation)
        key = ("k",) if shape.startswith("dict") else (0,) if "tuple[" in shape or "list[" in shape else ()
        yield (*at, name)
        if key:
            yield (*at, name, *key)
        for inner in models_in(info.annotation):
            yield from places(inner, (*at, name, *key))


def models_in(annotation):
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        yield annotation
        return
    for argument in getattr(annotation, "__args__", ()):
        yield from models_in(argument)


def put(location, value):
    for part in reversed(location):
        value = [value] if part == 0 else {part: value}
    return value


@pytest.mark.parametrize("model", [Config, Pack, RuleFile], ids=lambda model: model.__name__)
def test_whatever_stands_anywhere_no_wording_of_pydantics_comes_out(model):
    told = [
        (location, value, text)
        for location in places(model)
        for value in WRONG
        for text in [mistakes(Document("f", put(location, value), {}), model)]
        if text
    ]
    assert len(told) > 100
    assert [one for one in told if PYDANTIC.search(one[2])] == []


def mistakes(document, model):
    try:
        validate(document, model)
    except PolicyError as error:
        return str(error)
    return ""


def test_a_document_is_always_salvaged_and_what_is_left_is_sound():
    for location in places(Config):
        for value in WRONG:
            read = salvage(Document("f", put(location, value), {}), Config)
            assert validate(read.document, Config) == read.value


def test_no_type_is_worded_twice():
    assert not (set(WORDINGS) & (LISTS | MAPPINGS | OWN))


def sections(model=Config):
    yield model
    for info in model.model_fields.values():
        for inner in models_in(info.annotation):
            yield from sections(inner)


@pytest.mark.parametrize("section", sorted(set(sections()), key=lambda section: section.__name__))
def test_every_example_is_one(section):
    assert issubclass(section, Section)
    validate(parse(section.example, "f"), section)
    for name, info in section.model_fields.items():
        for example in info.examples or ():
            own = parse(section.example, "f").data  # required fields, if there are any
            own |= parse(f"{info.alias or name}: {example}", "f").data
            validate(Document("f", own, {}), section)
