"""A clause is cited with what the pack says under it, and with nothing of another clause."""

import pytest

from guard.licensing.citation import cite, cite_duty, output_use_words
from guard.policy.packs import shipped_packs

PACKS = shipped_packs()


def test_a_clause_gives_its_own_fact():
    (fact,) = cite(PACKS["llama-2"], "1.b.v")
    assert (fact.license, fact.clause, fact.about, fact.status) == ("llama-2", "1.b.v", "output use", "confirmed")
    assert fact.words == output_use_words(PACKS["llama-2"])


def test_clauses_joined_by_commas_are_cited_one_by_one():
    found = cite(PACKS["llama-2"], "AUP 2.a, AUP 1.g")
    assert [fact.clause for fact in found] == ["AUP 1.g", "AUP 2.a"]


def test_a_category_narrows_to_the_items_that_see_it():
    items = PACKS["llama-2"].aup
    for category in ("S9", "S14"):
        found = cite(PACKS["llama-2"], ", ".join(item.clause for item in items), category)
        assert [fact.words for fact in found] == [item.paraphrase for item in items if category in item.categories]


def test_an_item_of_another_category_is_cited_where_the_clause_has_no_other():
    (guns,) = cite(PACKS["llama-2"], "AUP 2.b", "S9")
    assert guns.about == "guns illegal weapons"
    assert [fact.about for fact in cite(PACKS["llama-2"], "AUP 3.a", "S2")] == ["fraud"]


@pytest.mark.parametrize("clause", [None, "", "1", "99.z", "1.b"])
def test_what_is_no_clause_of_the_license_cites_nothing(clause):
    assert cite(PACKS["llama-2"], clause) == ()


@pytest.mark.parametrize("id_", sorted(PACKS))
def test_every_fact_of_every_pack_is_found_by_its_clause(id_):
    license_ = PACKS[id_]
    if license_.output_use.clause:
        assert output_use_words(license_) in [fact.words for fact in cite(license_, license_.output_use.clause)]
    for threshold in license_.thresholds:
        assert "threshold" in [fact.about for fact in cite(license_, threshold.clause)]
    for duty in license_.duties:
        assert duty.text in [fact.words for fact in cite(license_, duty.clause)]
        assert duty.clause in [fact.clause for fact in cite_duty(license_, duty.text)]
    for item in license_.aup:
        for category in item.categories:
            assert item.paraphrase in [fact.words for fact in cite(license_, item.clause, category)]
