"""What licenses want stated, what the operator states, and what follows where nobody does."""

from datetime import date

import pytest

from guard.policy.document import PolicyError
from guard.policy.load import load

DAY = date(2026, 6, 1)
STATED = """\
operator:
  statements:
    - {license: %s, about: %s, says: order 7, owner: legal@example.org, expires: %s}
"""


def loaded(write, text):
    return load(write(text), today=DAY).snapshot


def wanted(snapshot):
    return [warning for warning in snapshot.warnings if "wants a statement" in warning]


def problems(path):
    with pytest.raises(PolicyError) as caught:
        load(path, today=DAY)
    return [str(problem).replace(f"{path}:", "") for problem in caught.value.problems]


@pytest.mark.parametrize(("license", "about"), [
    ("falcon-180b", "hosting"),
    ("llama-1", "commercial"),
    ("stability-community-2024", "threshold"),
    ("baichuan-2", "permission"),
])  # fmt: skip
def test_what_a_license_wants_is_said_until_somebody_states_it(write, license, about):
    served = f"models:\n  m: {{license: {license}}}\n"
    asked = [warning for warning in wanted(loaded(write, served)) if f"about {about}" in warning]
    assert asked
    assert all(warning.startswith(f"m: license {license} wants a statement about {about} (") for warning in asked)
    stated = loaded(write, served + STATED % (license, about, "2026-06-01"))
    assert not [warning for warning in wanted(stated) if f"about {about}" in warning]


def test_a_statement_that_expired_states_nothing_and_the_load_knows_the_day(write):
    path = write("models:\n  m: {license: falcon-180b}\n" + STATED % ("falcon-180b", "hosting", "2026-06-01"))
    assert load(path, today=DAY).expires == date(2026, 6, 2)
    later = load(path, today=date(2026, 6, 2)).snapshot
    assert any("about hosting" in warning for warning in wanted(later))
    assert "operator.statements: the one about hosting for falcon-180b expired on 2026-06-01" in later.warnings


def test_requests_are_refused_where_the_operator_wants_that(write):
    served = "models:\n  m: {license: falcon-180b}\n  n: {license: mistral-apache}\noperator: {unstated: refuse}\n"
    snapshot = loaded(write, served)
    assert (snapshot.models["m"].unstated.about, snapshot.models["m"].unstated.license) == ("hosting", "falcon-180b")
    assert snapshot.models["n"].unstated is None
    assert loaded(write, served.replace("refuse", "warn")).models["m"].unstated is None


def test_a_statement_nobody_wants_is_a_problem(write):
    path = write("models:\n  m: {license: llama-3.1}\n" + STATED % ("llama-3.1", "hosting", "2026-06-01"))
    assert problems(path) == [
        (
            "5: operator.statements[0].about: license llama-3.1 wants no statement about 'hosting'; allowed: nothing: that "
            "license wants no statement"
        )
    ]
    path = write("models:\n  m: {license: llama-3.1}\n" + STATED % ("lama-3.1", "hosting", "2026-06-01"))
    assert problems(path) == [
        (
            "5: operator.statements[0].license: unknown license 'lama-3.1'; allowed: the id of a pack; did you mean "
            "'llama-3.1'?"
        )
    ]


def test_a_domicile_in_the_eu_gives_no_rights_in_multimodal_llama(write):
    path = write("models:\n  meta-llama/Llama-3.2-11B-Vision-Instruct: {}\noperator: {domicile: FR}\n")
    (problem,) = problems(path)
    assert problem.startswith(
        "3: operator.domicile: 'FR': license llama-3.2 gives no rights in meta-llama/Llama-3.2-11B-Vision-Instruct there ("
    )
    text_only = "models:\n  meta-llama/Llama-3.2-3B-Instruct: {}\noperator: {domicile: FR}\n"
    assert wanted(loaded(write, text_only)) == []
    alias = load(write("models:\n  chat: {license: llama-3.2}\n"), today=DAY).snapshot
    assert ["about territory" in warning for warning in wanted(alias)] == [True]
    elsewhere = "models:\n  meta-llama/Llama-3.2-11B-Vision-Instruct: {}\noperator: {domicile: CH}\n"
    assert wanted(loaded(write, elsewhere)) == []
    unknown = loaded(write, "models:\n  meta-llama/Llama-3.2-11B-Vision-Instruct: {}\n")
    assert ["about territory" in warning for warning in wanted(unknown)] == [True]
    agreed = "models:\n  meta-llama/Llama-3.2-11B-Vision-Instruct: {}\n" + STATED % (
        "llama-3.2",
        "territory",
        "2027-01-01",
    )
    assert loaded(write, agreed + "  domicile: FR\n").models


def test_places_of_use_that_a_license_excludes_are_known_by_country(write):
    served = "models:\n  m: {license: hunyuan-a13b}\n"
    model = loaded(write, served).models["m"]
    assert {"DE", "FR", "GB", "KR", "EU"} <= set(model.excluded)
    assert "US" not in model.excluded
    assert model.excluded["KR"][0] == "hunyuan-a13b"
    headers = "territory: {country_headers: [CF-IPCountry]}\nidentity: {trusted_from: [10.0.0.0/8]}\n"
    assert [warning for warning in wanted(loaded(write, served)) if "about territory" in warning]
    snapshot = loaded(write, served + headers)
    assert not [warning for warning in wanted(snapshot) if "about territory" in warning]
    assert snapshot.surface.country_headers == (b"cf-ipcountry",)
    stated = loaded(write, served + STATED % ("hunyuan-a13b", "territory", "2026-12-31"))
    assert stated.models["m"].excluded == {}


def test_an_active_user_may_be_read_as_a_person_where_the_license_leaves_it_open(write):
    served = "models:\n  m: {license: qwen-2024}\n"
    assert loaded(write, served).models["m"].people_only == frozenset()
    read = loaded(write, served + "usage: {readings: {qwen-2024: people}}\n")
    assert read.models["m"].people_only == {"qwen-2024"}
    assert problems(write(served + "usage: {readings: {mistral-apache: people}}\n")) == [
        (
            "3: usage.readings.mistral-apache: a reading for 'mistral-apache', which does not leave open what an active user "
            "is; allowed: a license that does"
        )
    ]
