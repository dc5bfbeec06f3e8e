"""The operator's page: the facts are on it, nothing unescaped is, and no script can be."""

import re
from html.parser import HTMLParser

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.console.page import STYLE, render
from guard.exchange.snapshot import IdentityPolicy, Mode, ModelPolicy, Snapshot, SurfacePolicy
from guard.licensing.license import License, Status
from guard.usage.thresholds import AtLimit


def snapshot(models=(), warnings=()):
    return Snapshot(
        hash="0123456789abcdef" * 4,
        mode=Mode.ENFORCE,
        models={model.name: model for model in models},
        default_model=None,
        allow_unknown_models=False,
        identity=IdentityPolicy(),
        surface=SurfacePolicy(),
        rules=None,
        at_limit=AtLimit.OBSERVE,
        warnings=tuple(warnings),
    )


def model(name, *licenses):
    made = tuple(License(id_, id_, "2024", Status.CONFIRMED, "f", "f") for id_ in licenses)
    return ModelPolicy(name, made, {}, frozenset({"S10", "S2", "S1"}), {}, (), licenses)


def usage(license_="llama-3.1", users=612_000_000, upper=612_500_000, state="approaching", **more):
    limit = {"id": "mau", "value": 700_000_000, "state": state, "standing": False, "clause": "2"}
    return {
        "license": license_, "period": "2026-11", "users": users, "lower": users - 10, "upper": upper, "exact": False,
        "reasons": [], "limits": [limit], **more,
    }  # fmt: skip


def page(snap=None, usage=(), obligations=(), decisions=(), candidate=None, differences=(), ready=True, parts=None):
    return render(
        snap or snapshot(),
        usage=usage,
        obligations=obligations,
        decisions=decisions,
        candidate={"candidate": candidate, "differences": differences},
        ready=ready,
        parts=parts or {},
    )


class Reader(HTMLParser):
    """Collects text, tags and attributes, and insists that tags balance."""

    VOID = frozenset({"meta", "link"})

    def __init__(self, text):
        super().__init__()
        self.open, self.tags, self.attributes, self.words = [], [], [], []
        self.feed(text)
        self.close()
        assert self.open == []

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs
        if tag not in self.VOID:
            self.open.append(tag)

    def handle_startendtag(self, tag, attrs):
        self.tags.append(tag)
        self.attributes += attrs

    def handle_endtag(self, tag):
        assert self.open.pop() == tag

    def handle_data(self, data):
        self.words.append(data)

    @property
    def text(self):
        return re.sub(r"\s+", " ", " ".join(self.words))


def test_a_license_shows_its_count_bounds_and_state():
    read = Reader(page(usage=[usage()]))
    assert "612,000,000 users in 2026-11" in read.text
    assert "true number: 611,999,990 to 612,500,000" in read.text
    assert "approaching" in read.text
    assert "700,000,000 users (clause 2)" in read.text
    assert "87.4% of the limit; early warning" in read.text
    assert ("aria-label", "612,000,000 of 700,000,000 users, 87.4%, approaching") in read.attributes
    assert "mau" not in read.text


def test_an_unbounded_count_says_at_least():
    text = Reader(page(usage=[usage(upper=None, reasons=["12 requests had no identity"])])).text
    assert "at least 611,999,990" in text
    assert "12 requests had no identity" in text


@pytest.mark.parametrize(
    ("attestation", "words"),
    [
        ("shown", "attested"),
        ("missing", "attestation missing"),
        ("open", "attestation leaves it open"),
        ("beyond", "beyond, as attested"),
        (None, "not tested by this count"),
    ],
)
def test_a_limit_on_a_past_month_shows_its_attestation_and_no_state(attestation, words):
    row = usage(users=500, upper=None, state=None)
    row["limits"][0]["attestation"] = attestation
    text = Reader(page(usage=[row])).text
    assert words in text
    assert "within" not in text


def test_a_count_over_its_limit_stays_inside_the_bar():
    read = Reader(page(usage=[usage(users=900_000_000, upper=900_000_000, state="over")]))
    widths = [float(value.rstrip("%")) for name, value in read.attributes if name == "width" and value.endswith("%")]
    assert max(widths) <= 100
    assert "128.6%" in read.text


def test_models_obligations_and_decisions_are_listed():
    text = Reader(
        page(
            snapshot([model("meta-llama/Llama-3.1-8B-Instruct", "llama-3.1"), model("unknown")], ["llama: unconfirmed"]),
            obligations=[{"license": "llama-3.1", "clause": "1.b.i", "kind": "display", "text": "Built with Llama", "trigger": "distribution"}],
            decisions=[
                {
                    "time": 1_767_225_661.5, "reference": "abc123", "verdict": "deny", "model": "tiny", "surface": "messages",
                    "refused": {"code": "aup", "license": "llama-3.1", "clause": "AUP 2", "category": "S9"},
                },
                {"time": None, "reference": "def456", "verdict": "flag", "refused": None, "findings": [{"category": "S10"}, {"category": "S2"}]},
            ],
        )
    ).text  # fmt: skip
    for expected in (
        "meta-llama/Llama-3.1-8B-Instruct llama-3.1 S1, S2, S10",
        "undetermined",
        "llama: unconfirmed",
        "llama-3.1 1.b.i display Built with Llama distribution",
        "2026-01-01 00:01:01",
        "abc123 ✕ deny tiny messages aup llama-3.1 AUP 2 S9",
        "def456 ! flag - - - - - S2, S10",
    ):
        assert expected in text, expected


def test_the_head_names_every_part_once_in_words():
    parts = {"started": True, "policy": "0123456789ab", "spool": "ok", "spool_records": 1234, "ledger": "down"}
    text = Reader(page(parts={**parts, "audit": "off", "provenance": "No space left on device"})).text
    assert "sightings log ✓ ok sightings waiting 1,234 user ledger ✕ down audit log off" in text
    assert "index of outputs ✕ No space left on device" in text
    assert text.count("0123456789ab") == 2, "in the title and in the head"
    assert "started" not in text
    assert "started ✕ not yet" in Reader(page(ready=False, parts={"started": False})).text


def test_a_limit_without_a_clause_is_the_operators():
    limit = {"id": "operator", "value": 1000, "state": "ok", "standing": True, "clause": ""}
    text = Reader(page(usage=[usage(users=500, upper=500, limits=[limit])])).text
    assert "1,000 users (the operator's limit)" in text
    assert "50.0% of the limit; acts at run time" in text


def test_a_cell_carries_the_name_of_its_column_for_narrow_screens():
    read = Reader(page(decisions=[{"reference": "r", "verdict": "deny"}]))
    labels = [value for name, value in read.attributes if name == "data-label"]
    assert labels[:5] == ["Time (UTC)", "Reference", "Verdict", "Model", "Surface"]
    assert "attr(data-label)" in STYLE


def test_an_empty_deployment_says_so():
    text = Reader(page(ready=False)).text
    assert "not ready" in text
    assert "No model is configured." in text
    assert "No request was refused or flagged yet." in text


def test_nothing_on_the_page_needs_what_the_content_security_policy_forbids():
    text = page(snapshot([model("m", "l")]), usage=[usage()], decisions=[{"reference": "r", "verdict": "deny"}])
    read = Reader(text)
    assert not {"script", "style", "iframe", "form", "img", "object"} & set(read.tags)
    assert not [name for name, _ in read.attributes if name == "style" or name.startswith("on")]
    links = [value for name, value in read.attributes if name in {"href", "src"}]
    assert all(value.startswith(("/", "#")) and not value.startswith("//") for value in links)
    assert "url(" not in STYLE
    assert "@import" not in STYLE


@settings(max_examples=60, deadline=None)
@given(st.text(alphabet=st.sampled_from("<>&\"'$ax{}/!-"), min_size=1, max_size=30))
def test_whatever_a_name_holds_stays_text(text):
    calm = Reader(
        page(
            snapshot([model("x", "y")], ["w"]),
            usage=[usage("z", reasons=["r"])],
            obligations=[{"text": "t"}],
            decisions=[{"reference": "r", "verdict": "v"}],
            parts={"p": "q"},
        )
    )
    wild = Reader(
        page(
            snapshot([model(text, text)], [text]),
            usage=[usage(text, reasons=[text])],
            obligations=[{"text": text}],
            decisions=[{"reference": text, "verdict": text}],
            parts={text: text},
        )
    )
    assert wild.tags == calm.tags


CANDIDATE = {"ok": True, "hash": "c0ffee" * 11, "problems": [], "compared": 1234, "differing": 7}


def difference(reference="r1", **more):
    outcome = {"license": None, "clause": None, "category": None, "rules": [], "edits": []}
    return {
        "time": 1_795_000_000.0, "reference": reference, "model": "tiny",
        "active": {**outcome, "verdict": "allow", "reason": "none"},
        "candidate": {**outcome, "verdict": "deny", "reason": "aup", "license": "llama-2", "clause": "2.a", "category": "S9"},
        **more,
    }  # fmt: skip


def test_without_a_candidate_there_is_nothing_of_one():
    assert "andidate" not in page()


def test_a_candidate_is_shown_with_what_it_would_have_decided_otherwise():
    words = " ".join(" ".join(Reader(page(candidate=CANDIDATE, differences=[difference()])).words).split())
    assert "c0ffeec0ffee : 1,234 requests compared, 7 decided otherwise. Nothing of it is enforced." in words
    assert "2026-11-18 11:06:40 r1 ✓ allow ✕ deny aup, llama-2, 2.a, S9 tiny" in words
    edited = {**difference()["candidate"], "verdict": "allow", "reason": "edited", "license": None, "clause": None}
    shown = page(candidate=CANDIDATE, differences=[difference(candidate={**edited, "edits": ["n: at most 2"]})])
    assert "n: at most 2" in shown


def test_only_the_last_differences_are_on_the_page():
    shown = page(candidate=CANDIDATE, differences=[difference(f"r{number}.") for number in range(12)])
    assert "r9." in shown
    assert "r10." not in shown


def test_a_candidate_with_problems_says_what_they_are():
    broken = {**CANDIDATE, "ok": False, "hash": None, "problems": ["candidate.yaml:1: mode: '<maybe>'"]}
    shown = page(candidate=broken)
    assert "not loaded" in shown
    assert "candidate.yaml:1: mode: &#x27;&lt;maybe&gt;&#x27;" in shown
