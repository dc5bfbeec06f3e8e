"""Which licenses bind whoever uses a hosted model, and by which clause."""

from dataclasses import replace

from guard.licensing.license import Duty, License, Status
from guard.licensing.terms import flow_down_clause
from guard.policy.packs import shipped_packs

HOSTED = License(
    "l", "L", "2026-01-01", Status.CONFIRMED, "l", "l", hosting="distribution", hosting_clause="1.1",
    duties=(
        Duty("flow_down", "of copies", "copies are given away", "7", owed_for=("distribution",)),
        Duty("notice_file", "a notice", "the model is hosted", "8"),
        Duty("flow_down", "of the service", "the model is hosted", "3.1"),
    ),
)  # fmt: skip


def test_the_clause_is_that_of_the_duty_toward_users_of_the_service():
    assert flow_down_clause(HOSTED) == "3.1"


def test_without_such_a_duty_the_clause_on_hosting_is_cited():
    assert flow_down_clause(replace(HOSTED, duties=())) == "1.1"


def test_where_hosting_is_no_distribution_nobody_is_bound():
    assert flow_down_clause(replace(HOSTED, hosting="allowed")) is None
    assert flow_down_clause(replace(HOSTED, hosting="separate_permission")) is None


def test_shipped_licenses_that_bind_users_say_by_which_clause():
    clauses = {id_: flow_down_clause(license_) for id_, license_ in shipped_packs().items()}
    assert {id_: clauses[id_] for id_ in ("gemma", "deepseek-1.0", "llama-3.1", "qwen-2024")} == {
        "gemma": "3.1",
        "deepseek-1.0": "4.a, 5",
        "llama-3.1": None,
        "qwen-2024": None,
    }
    assert "" not in clauses.values()
