"""The ledger of the tests keeps every promise of a ledger, so what the tests build on it holds for the others."""

import pytest
from ledger_contract import LedgerContract
from usage_world import MemoryLedger


class TestMemoryLedger(LedgerContract):
    @pytest.fixture
    def open_handle(self):
        return MemoryLedger().handle
