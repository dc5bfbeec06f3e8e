"""Every license that ships has cases, and every case holds: what lawyers expect is what requests get."""

import time

import pytest

from guard.policy.packs import shipped_packs
from guard.policy.rehearsal.cases import Bench, case_files, read_cases, shipped_cases


@pytest.fixture(autouse=True)
def no_shipped_rules():
    """These cases are about the shipped rules."""


@pytest.fixture(scope="module")
def bench():
    return Bench({}, time.time())


FILES = sorted(shipped_cases().glob("*.yaml"))


def test_every_shipped_license_has_a_case_file_of_its_name():
    assert [path.stem for path in case_files([shipped_cases()])] == sorted(shipped_packs())
    for path in FILES:
        assert read_cases(path, shipped_packs()).content.license[0] == path.stem


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_the_cases_hold(path, bench):
    cases = read_cases(path, shipped_packs())
    assert len(cases.content.cases) >= 4
    assert [str(result) for result in bench.run(cases) if not result.passed] == []
