"""What is not wrong but worth knowing, where it stands, and whether ``--strict`` refuses it."""

from datetime import date
from pathlib import Path

import pytest

from guard.policy.document import Caution, Problem, in_order
from guard.policy.load import load

DAY = date(2026, 6, 1)
KEY = "a" * 64
PRESUMED = (
    "without identity.trusted_headers every one of x-forwarded-user, x-auth-request-user, x-openwebui-user-id, "
    "x-litellm-customer-id, x-litellm-end-user-id, x-user-id is believed, also where the hop passes on what a client wrote "
    "into it; name those that the hop sets"
)


def cautions(path, **more):
    return [(one.line, one.path, one.found, one.strict) for one in load(path, today=DAY, **more).cautions]


@pytest.mark.parametrize(("text", "expected"), [
    ("license: llama-3.1\nusage:\n  limits: {llama-3.1: 1000}\n",
     (3, "usage.limits", "nobody is refused at these limits, because usage.at_limit is observe", False)),
    ("unknown_models: undetermined\n",
     (1, "unknown_models", "models that are not listed are served with license undetermined", True)),
    ("license: mistral-mnpl-0.1\nidentity:\n  trusted_from: [10.0.0.0/8, '::/0']\n",
     (3, "identity.trusted_from[1]", "::/0 is everybody: whoever connects may claim to be any user", False)),
    ("license: mistral-mnpl-0.1\nidentity:\n  trusted_from: [10.0.0.0/8]\n",
     (3, "identity.trusted_from", PRESUMED, False)),
    (("license: mistral-mnpl-0.1\nidentity:\n  trusted_headers:\n    - x-user\n"
      "    - {header: x-id, from: [10.0.0.0/8, 0.0.0.0/0]}\n"),
     (5, "identity.trusted_headers[1].from[1]", "0.0.0.0/0 is everybody: whoever connects may claim to be any user", False)),
    ("license: mistral-mnpl-0.1\nidentity:\n  mtls: {from: ['::/0']}\n",
     (3, "identity.mtls.from[0]", "::/0 is everybody: whoever connects may claim to be any user", False)),
    (f"license: llama-2\nidentity:\n  keys:\n    - {{name: lab, sha256: {KEY}, purpose: 'train:gemma-2-9b'}}\n",
     (4, "identity.keys[0].purpose",
      ("'train:gemma-2-9b' is refused for every model that is served; license llama-2 (1.b.v): outputs may not improve any "
       "other large language model, except Llama 2 itself and its derivative works"), False)),
    (("license: llama-2\nscreening:\n  actions: {S9: log}\n  relax:\n"
      "    - {category: S9, owner: legal@example.org, expires: 2028-06-04, reason: contract 17}\n"),
     (5, "screening.relax[0].expires",
      "owned by legal@example.org, holds until 2028-06-04, more than two years from now", False)),
])  # fmt: skip
def test_a_caution_says_where_it_stands(write, text, expected):
    assert expected in cautions(write(text))


@pytest.mark.parametrize("identity", [
    "{trusted_from: [10.0.0.0/8], trusted_headers: [x-forwarded-user]}", "{unidentified: deny}",
    "{trusted_headers: [{header: x-id, from: [10.0.0.0/8]}]}", "{trusted_from: [10.0.0.0/8], mtls: {}, sources: [mtls]}",
])  # fmt: skip
def test_headers_that_are_named_or_that_nobody_is_believed_about_are_no_caution(write, identity):
    assert PRESUMED not in [found for _, _, found, _ in cautions(write(f"license: gemma\nidentity: {identity}\n"))]


def test_an_exception_for_two_years_is_no_caution(write):
    text = "license: llama-2\nshadows:\n  - {category: S9, owner: o, expires: 2028-06-02, reason: new rules}\n"
    assert not [found for _, path, found, _ in cautions(write(text)) if path.endswith("expires")]


def test_a_key_that_one_model_suits_is_no_caution(write):
    text = "models:\n  a: {license: llama-2}\n  b: {license: llama-3.1}\nidentity:\n  keys:\n"
    path = write(f"{text}    - {{name: lab, sha256: {KEY}, purpose: 'train:gemma-2-9b'}}\n")
    assert not [found for _, path, found, _ in cautions(path) if "purpose" in path]


@pytest.mark.parametrize(("setting", "at"), [
    ("outputs:\n  fields: {prompt_embeds: allow}\n", "outputs.fields.prompt_embeds"),
    ("screening: {unscannable: allow}\n", "screening.unscannable"),
    ("screening: {unscannable: {image: mark}}\n", "screening.unscannable"),
])  # fmt: skip
def test_what_passes_the_rules_unread_while_something_is_blocked_is_a_caution(write, setting, at):
    found = [found for _, path, found, _ in cautions(write(f"license: llama-2\n{setting}")) if path == at]
    assert len(found) == 1
    assert "S9" in found[0]
    assert not [found for _, path, found, _ in cautions(write(f"license: qwen-apache\n{setting}")) if path == at]


def test_an_unconfirmed_fact_stands_in_its_pack_and_is_noted_by_license(write):
    loaded = load(write("license: falcon-180b\n"), today=DAY)
    rule = next(one for one in loaded.cautions if one.path == "output_use.status")
    assert Path(rule.file).name == "falcon-180b.yaml"
    assert Path(rule.file).read_text(encoding="utf-8").splitlines()[rule.line - 1].strip() == "status: unconfirmed"
    assert rule.strict
    assert rule.note == "license falcon-180b: the rule on outputs (5.2) is unconfirmed"
    assert rule.note in loaded.snapshot.warnings


def test_problems_are_in_the_order_of_files_and_lines_and_there_once():
    one, two, three = Problem("a", 2, "x", "f"), Problem("a", 10, "y", "f"), Caution("b", 1, "z", "f")
    assert in_order([three, two, one, two]) == [one, two, three]
