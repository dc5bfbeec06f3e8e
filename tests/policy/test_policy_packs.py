"""The packs that ship, and the mistakes a pack can have."""

import pytest

from guard.licensing.license import OutputRule, Status, Window
from guard.policy.document import PolicyError
from guard.policy.locations import shipped_licenses, shipped_policies, yaml_files
from guard.policy.packs import load_packs, shipped_packs
from guard.screening.categories import CATEGORIES
from guard.screening.findings import Action

PACKS = shipped_packs()
EXPECTED = {
    "alpaca", "baichuan-2", "bigcode-openrail-m-1", "bigscience-openrail-m", "bigscience-rail-1.0", "chatglm-2",
    "cohere-cc-by-nc", "creativeml-openrail-m", "dbrx", "deepseek-1.0", "deepseek-mit", "falcon-180b",
    "falcon-2-11b", "falcon-7b-40b", "gemma", "glm-4-9b", "glm-5.3", "glm-mit", "grok-1", "grok-2",
    "hunyuan-3d-2.1", "hunyuan-a13b", "hunyuan-large", "hy3", "kimi-k2", "kimi-k2.5", "kimi-k3", "llama-1",
    "llama-2", "llama-3", "llama-3.1", "llama-3.2", "llama-3.3", "llama-4", "minimax-01", "minimax-m1",
    "minimax-m2", "minimax-m2.1", "minimax-m2.5", "minimax-m2.7", "minimax-m3", "mistral-apache",
    "mistral-mnpl-0.1", "mistral-mrl-0.1", "phi-2", "qwen-2024", "qwen-apache", "qwen-research-2024", "qwen3.8-max",
    "stability-community-2024", "tongyi-qianwen-2023", "tongyi-qianwen-research-2023", "yi-2.1", "yi-apache",
}  # fmt: skip

PACK = """\
id: acme-1.0
name: Acme Model License 1.0
date: "2026-03-01"
status: confirmed
family: acme
version: acme
sources: ["Acme, revision 3f2a"]
output_use: {rule: unrestricted, status: confirmed}
"""


@pytest.mark.parametrize("id_", sorted(id_ for id_, license_ in PACKS.items() if license_.aup_text))
def test_a_policy_against_violence_or_crime_lets_no_bomb_pass_unseen(id_):
    if {item.id for item in PACKS[id_].aup} & {"violence_terrorism", "unlawful_use"}:
        assert max(item.action_for("S9") for item in PACKS[id_].aup if "S9" in item.categories) >= Action.FLAG


def test_a_copy_of_a_pack_is_no_second_one(tmp_path):
    (tmp_path / "gemma.yaml").write_bytes((shipped_licenses() / "gemma.yaml").read_bytes())
    assert set(load_packs([shipped_licenses(), tmp_path])) == EXPECTED
    with (tmp_path / "gemma.yaml").open("a") as file:
        file.write("# changed\n")
    with pytest.raises(PolicyError, match=r"'gemma' is in .* already"):
        load_packs([shipped_licenses(), tmp_path])


def test_every_expected_license_ships():
    assert set(PACKS) == EXPECTED


@pytest.mark.parametrize("id_", sorted(PACKS))
def test_a_pack_has_a_clause_a_status_and_a_source_for_every_fact(id_):
    license_ = PACKS[id_]
    assert license_.sources
    facts = [*license_.thresholds, *license_.duties, *([license_.territory] if license_.territory else [])]
    assert all(fact.clause and isinstance(fact.status, Status) for fact in facts)
    assert license_.output_use.rule is OutputRule.UNRESTRICTED or license_.output_use.clause
    assert all(item.clause for item in license_.aup)
    assert license_.commercial == "allowed" or (license_.commercial_text and license_.commercial_clause)
    assert license_.hosting == "allowed" or (license_.hosting_text and license_.hosting_clause)


@pytest.mark.parametrize("id_", sorted(PACKS))
def test_an_item_is_seen_in_text_or_has_a_duty_instead(id_):
    for item in PACKS[id_].aup:
        assert bool(item.categories) != bool(item.duty), item.id
        assert (item.coverage == "none") == (not item.categories), item.id
        assert set(item.categories) <= set(CATEGORIES), item.id
        assert (item.action is Action.OFF) == (not item.categories), item.id


@pytest.mark.parametrize(("id_", "items", "full", "none"), [
    ("llama-2", 27, 11, 6), ("llama-3.1", 27, 11, 6), ("llama-3.2", 30, 12, 8), ("llama-4", 30, 12, 8), ("gemma", 25, 10, 4),
    ("bigscience-openrail-m", 13, 3, 4), ("deepseek-1.0", 12, 2, 3), ("hunyuan-a13b", 22, 5, 7), ("falcon-180b", 6, 2, 0),
    ("llama-1", 6, 0, 1), ("kimi-k2", 0, 0, 0), ("qwen-2024", 0, 0, 0),
])  # fmt: skip
def test_the_policies_have_all_their_items(id_, items, full, none):
    aup = PACKS[id_].aup
    counted = (len(aup), len([i for i in aup if i.coverage == "full"]), len([i for i in aup if i.coverage == "none"]))
    assert counted == (items, full, none)


def test_llama_counts_its_own_month_and_qwen_stands():
    months = {
        id_: PACKS[id_].thresholds[0].reference_month for id_ in PACKS if id_.startswith("llama-") and id_ != "llama-1"
    }
    assert months == {
        "llama-2": "2023-06", "llama-3": "2024-03", "llama-3.1": "2024-06", "llama-3.2": "2024-08", "llama-3.3": "2024-11",
        "llama-4": "2025-03",
    }  # fmt: skip
    assert {PACKS[id_].thresholds[0].value for id_ in months} == {700_000_000}
    assert PACKS["qwen-2024"].thresholds[0].window is Window.STANDING
    assert PACKS["kimi-k2"].thresholds[0].consequence == "display_duty"


def test_llama_4_numbers_its_policy_its_own_way():
    clauses = {item.id: item.clause for item in PACKS["llama-4"].aup}
    older = {item.id: item.clause for item in PACKS["llama-3.3"].aup}
    assert (older["self_harm"], clauses["self_harm"]) == ("AUP 2.e", "AUP 3.e")
    assert (older["undisclosed_dangers"], clauses["undisclosed_dangers"]) == ("AUP 4", "AUP 5")
    assert (older["violence_terrorism"], clauses["violence_terrorism"]) == ("AUP 1.a.i", "AUP 1.a.i")


def test_the_texts_are_in_american_spelling():
    for path in yaml_files(shipped_licenses()):
        text = path.read_text(encoding="utf-8").lower()
        assert not any(word in text for word in ("licence", "authoris", "behaviour", "practis", "organis")), path.name


def test_a_pack_of_ones_own_is_added(tmp_path):
    (tmp_path / "acme-1.0.yaml").write_text(PACK)
    packs = load_packs([shipped_licenses(), tmp_path])
    assert packs["acme-1.0"].name == "Acme Model License 1.0"
    assert set(packs) == EXPECTED | {"acme-1.0"}


def test_an_id_that_ships_is_taken(tmp_path):
    (tmp_path / "gemma.yaml").write_text(PACK.replace("acme-1.0", "gemma"))
    with pytest.raises(
        PolicyError, match=r"gemma.yaml:1: id: 'gemma' is in .*gemma.yaml already; allowed: an id of its own"
    ):
        load_packs([shipped_licenses(), tmp_path])


def test_all_problems_of_all_packs_are_told_at_once(tmp_path):
    (tmp_path / "a.yaml").write_text("id: a\n")
    (tmp_path / "b.yaml").write_text("id: [\n")
    with pytest.raises(PolicyError) as caught:
        load_packs([tmp_path, tmp_path / "nowhere"])
    assert {problem.file.rsplit("/", 1)[-1] for problem in caught.value.problems} == {"a.yaml", "b.yaml", "nowhere"}


def test_the_shipped_policies_are_found_in_a_checkout():
    assert (shipped_policies() / "licenses" / "gemma.yaml").is_file()
