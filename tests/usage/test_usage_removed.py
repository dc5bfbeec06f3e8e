"""A spool directory that is removed while Guard runs: nothing may be acknowledged into a file nobody finds again."""

import shutil

import pytest

from guard.usage.ledger import Scope
from guard.usage.spool import Spool, SpoolError


def test_a_removed_spool_refuses_instead_of_losing(tmp_path):
    spool = Spool(tmp_path / "spool", lambda month: "f" * 16)
    scopes = [Scope("2026-11", "llama-2")]
    spool.append(scopes, 1, 0.0)
    shutil.rmtree(tmp_path / "spool")
    with pytest.raises(SpoolError):
        spool.append(scopes, 2, 1.0)
    spool.close()


def test_it_heals_when_the_directory_can_be_made_again(tmp_path):
    spool = Spool(tmp_path / "spool", lambda month: "f" * 16)
    scopes = [Scope("2026-11", "llama-2")]
    spool.append(scopes, 1, 0.0)
    shutil.rmtree(tmp_path / "spool")
    with pytest.raises(SpoolError):
        spool.append(scopes, 2, 1.0)
    (tmp_path / "spool").mkdir()
    spool.append(scopes, 3, 2.0)
    assert list((tmp_path / "spool").glob("*.seg"))
    spool.close()
