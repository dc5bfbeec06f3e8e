"""The model card: its numbers are what they say they are, and it is about the weights that are shipped."""

import importlib.util
import re
from hashlib import sha256
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from learned_world import ZAP, weights
from neural_world import weights as neural_weights

from guard.policy.locations import shipped_rules
from guard.policy.rules import load_rules
from guard.screening.learned.weights import SHIPPED, shipped
from guard.screening.neural.model import WEIGHTS as NEURAL
from guard.screening.neural.model import NeuralModel
from guard.screening.ruleset import RuleSet
from guard.screening.train import attribution, corpus
from guard.screening.train.card import auprc, card

ROOT = Path(__file__).parents[2]
DATA = ROOT / "data" / "screening"
PAGE = ROOT / "docs" / "model-card.md"
NOTICE = SHIPPED.with_name("ATTRIBUTION.md")
here = pytest.mark.skipif(not DATA.is_dir(), reason="no data in an installation")


def row(text, *labels, split="dev", source="made up", lang="en", role="prompt"):
    return corpus.Row(text, role, labels, source, split, lang, "MIT")


ROWS = [
    *(row(f"please zap number {'a' * count}", "S9") for count in range(1, 31)),
    *(row(f"some old book {'a' * count}", "S9") for count in range(1, 11)),
    *(row(f"some quiet rain {'a' * count}", "benign") for count in range(1, 31)),
    *(row(f"zip the rain and the quiet old dog by the door {'a' * count}", "benign") for count in range(1, 11)),
    *(row(f"the zoo of {'a' * count}", "D1", source="authored-d1") for count in range(1, 21)),
    *(row(f"the animals of {'a' * count}", "benign", source="authored-d1") for count in range(1, 21)),
    row("zap in french", "S1", lang="fr"),
    row("zap in training", "S1", split="train"),
    *(row(f"how long is {'a' * count}", "benign", split="check", source="long") for count in range(1, 100)),
    row("zap is long", "benign", split="check", source="long"),
]


@pytest.fixture(scope="module")
def rules():
    return RuleSet(load_rules([shipped_rules()])[0])


def lines(text, title):
    """The table under a title, as lists of cells."""
    (part,) = [part for part in text.split("### ") if part.startswith(title)]
    return [[cell.strip() for cell in line.strip("|").split("|")] for line in part.splitlines() if line.startswith("|")]


def test_the_numbers_are_those_of_the_rows(rules):
    told = []
    text = card(ROWS, weights(ZAP), rules, None, told.append)
    assert told == ["tiers 1 and 2"]
    assert "Corpus: `made up`" in text
    assert lines(text, "Long harmless")[2] == ["1+2", "100", "0.010 / 0.010", "0.000 / 0.000"]
    found = {cells[0]: cells[1:] for cells in lines(text, "By source")[2:]}
    assert found["made up"][:4] == ["41", "0.756 / 0.756", "40", "0.250 / 0.000"]
    assert found["authored-d1"][:4] == ["0", "", "20", "0.000 / 0.000"]
    assert "long" not in found
    assert "fewer rows" not in found
    found = {cells[0]: cells[1:] for cells in lines(text, "Prompts by language")[2:]}
    assert found["en"][-1] == "no", "too many harmless ones are flagged"
    assert found["fewer rows"] == ["1", "1.000 / 1.000", "0", "", "", "no"]
    found = {cells[0]: cells[1:] for cells in lines(text, "By hazard")[2:]}
    assert found["S9 indiscriminate weapons"] == ["40", "0.750 / 0.750", "0.750"]
    assert found["S1 violent crimes"] == ["1", "1.000 / 1.000", "0.000"]
    assert found["S4 child sexual exploitation"] == ["0", "", ""]
    assert lines(text, "Training-data")[2] == [
        "1+2",
        "20",
        "1.000 / 1.000",
        "20",
        "0.000 / 0.000",
        "40",
        "0.000 / 0.000",
    ]


def test_a_language_that_is_worked_in_is_claimed(rules):
    calm = [one for one in ROWS if not one.text.startswith("zip")]
    text = card(calm, weights(ZAP), rules, None, lambda _: None)
    assert lines(text, "Prompts by language")[2][-1] == "yes"


def test_the_neural_tier_has_columns_of_its_own(rules, tmp_path):
    neural_weights(tmp_path, {"bomb": {"unsafe": 6.0, "S9": 6.0}, "cake": {"D1": 6.0}})
    rows = [row(f"make a bomb {count}", "S9") for count in range(20)]
    rows += [row(f"make a cake {count}", "D1") for count in range(20)]
    text = card(rows, weights(ZAP), rules, NeuralModel.load(tmp_path), lambda _: None)
    head, _, found, *_ = lines(text, "By source")
    assert [name for name in head if "flagged" in name][:2] == ["1+2: flagged / blocked", "1+2n: flagged / blocked"]
    assert found[:4] == ["made up", "20", "0.000 / 0.000", "1.000 / 1.000"]
    assert lines(text, "Training-data")[3][:3] == ["1+2n", "20", "1.000 / 1.000"]
    assert "| tier 2n, all hazards | 0.500 | 0.900 |" in text
    assert re.search(r"^Tier 2: `[0-9a-f]{64}`\n\nTier 2n: `[0-9a-f]{64}`\n\n\| \|", text, re.MULTILINE)


@settings(max_examples=100)
@given(st.lists(st.tuples(st.integers(0, 5), st.booleans()), min_size=1, max_size=30))
def test_the_area_is_the_mean_precision_at_the_harmful_rows(found):
    risks, truths = [risk for risk, _ in found], [true for _, true in found]
    if not any(truths):
        return
    precisions = []
    for risk, true in found:
        if true:
            above = [other for at, other in found if at >= risk]
            precisions.append(sum(above) / len(above))
    assert auprc(risks, truths) == pytest.approx(sum(precisions) / len(precisions))


@pytest.mark.parametrize(
    ("source", "name"),
    [
        ("botocore 1.44.5: botocore/data/sesv2/2019-09-27/service-2.json.gz", "botocore"),
        ("python-django-doc 3:3.2.25-0+deb12u7: usr/share/doc/x.html", "python-django-doc"),
        ("asks.txt with a name from wordnet-base", "asks.txt"),
        (
            "hh-rlhf harmless-base/test first turn (labels: ours)",
            "hh-rlhf harmless-base/test first turn (labels: ours)",
        ),
        ("HarmBench", "HarmBench"),
    ],
)
def test_a_source_is_named_without_its_file(source, name):
    assert attribution.origin(row("x", "benign", source=source)) == name


def between(path, name):
    found = re.search(rf"<!-- {name} -->\n\n(.*?)\n<!-- /{name} -->", path.read_text(encoding="utf-8"), re.DOTALL)
    assert found, f"{path} has no marks for {name}"
    return found[1]


def test_the_card_is_about_the_shipped_weights():
    """If not: python benchmarks/screening_card.py --write"""
    found = dict(re.findall(r"^(Corpus|Tier 2|Tier 2n): `([0-9a-f]{64})`$", between(PAGE, "card"), re.MULTILINE))
    assert found.pop("Corpus") == shipped().corpus
    assert found.pop("Tier 2") == sha256(SHIPPED.read_bytes()).hexdigest()
    neural = NEURAL / "neural.json"
    assert found == ({"Tier 2n": sha256(neural.read_bytes()).hexdigest()} if neural.exists() else {})


@here
def test_every_source_of_the_data_is_named():
    rows = corpus.read(DATA)
    assert between(PAGE, "sources") == attribution.sources(rows)
    assert between(NOTICE, "sources") == attribution.notices(rows)


@here
def test_every_public_set_has_a_line_in_the_notice():
    head = NOTICE.read_text(encoding="utf-8").partition("<!-- sources -->")[0]
    public = {
        attribution.origin(row)
        for row in corpus.read(DATA)
        if not row.source.startswith(("authored", "asks.txt", "own templates"))
        and attribution.origin(row) == row.source
    }
    assert len(public) > 15
    assert sorted(name for name in public if name not in head) == []


def test_the_command_that_makes_the_card_replaces_what_stands_there(tmp_path):
    spec = importlib.util.spec_from_file_location("screening_card", ROOT / "benchmarks" / "screening_card.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    page = tmp_path / "page.md"
    page.write_text("before\n<!-- card -->\nold\n<!-- /card -->\nafter\n")
    for _ in range(2):
        module.between(page, "card", "new\n")
        assert page.read_text() == "before\n<!-- card -->\n\nnew\n\n<!-- /card -->\nafter\n"
        assert between(page, "card") == "new\n"
