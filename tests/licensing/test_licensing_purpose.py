"""Purposes as they are written, and how a request's header may change them."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from guard.licensing.lineage import resolve_target
from guard.licensing.purpose import Purpose, narrow
from guard.licensing.verdict import stack_verdict
from guard.policy.packs import shipped_packs

PURPOSES = [
    "serve",
    "evaluate",
    "unknown",
    "train:llama-2",
    "train:gemma",
    "synthetic-data:llama-2",
    "train:nobody-knows",
]


@pytest.mark.parametrize(("text", "kind", "target"), [
    ("serve", "serve", None),
    (" Evaluate ", "evaluate", None),
    ("train:meta-llama/Llama-2-13b", "train", "meta-llama/Llama-2-13b"),
    ("synthetic-data: mistral-7b", "synthetic-data", "mistral-7b"),
])  # fmt: skip
def test_a_purpose_is_read_as_it_is_written(text, kind, target):
    found = Purpose.parse(text)
    assert (found.kind, found.target) == (kind, target)
    assert Purpose.parse(str(found)) == found


@pytest.mark.parametrize("text", ["", "training", "train", "train:", "serve:llama", "train:a\nb", "train:" + "x" * 201])
def test_anything_else_is_no_purpose(text):
    with pytest.raises(ValueError, match="allowed: serve, evaluate"):
        Purpose.parse(text)


@pytest.mark.parametrize(("policy", "header", "result"), [
    ("train:llama-2", "serve", "serve"),
    ("train:llama-2", "synthetic-data:LLAMA-2", "synthetic-data:LLAMA-2"),
    ("synthetic-data:llama-2", "evaluate", "evaluate"),
    ("unknown", "train:gemma", "train:gemma"),
    ("serve", "unknown", "serve"),
    ("serve", "serve", "serve"),
    ("serve", "train:llama-2", None),
    ("serve", "evaluate", None),
    ("evaluate", "serve", None),
    ("train:llama-2", "train:gemma", None),
    ("synthetic-data:llama-2", "train:llama-2", None),
])  # fmt: skip
def test_a_header_narrows_and_never_widens(policy, header, result):
    assert narrow(policy, header) == result


def test_a_header_that_is_no_purpose_is_an_error():
    with pytest.raises(ValueError, match="no-idea"):
        narrow("serve", "no-idea")


@given(st.sampled_from(PURPOSES), st.sampled_from(PURPOSES), st.sampled_from(PURPOSES))
def test_narrowing_twice_reaches_nothing_that_once_could_not(policy, first, second):
    once = narrow(policy, first)
    twice = narrow(once, second) if once else None
    if twice is not None and second != "unknown":
        assert narrow(policy, second) == twice


@given(
    st.sampled_from([text for text in PURPOSES if text != "unknown"]),
    st.sampled_from(PURPOSES),
    st.sampled_from(sorted(shipped_packs())),
)
def test_a_training_purpose_is_never_freed_into_training_more(policy, header, license_id):
    packs = shipped_packs()
    result = narrow(policy, header)
    if result is not None and (stated := Purpose.parse(result)).trains:
        granted = Purpose.parse(policy)
        of = [
            stack_verdict([packs[license_id]], one, resolve_target(one.target, packs)).kind for one in (stated, granted)
        ]
        assert of[0] is of[1]
