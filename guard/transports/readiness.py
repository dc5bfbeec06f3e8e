"""Whether requests should be sent to this process.

It fails for what another replica would do better: nothing is open yet, nothing can be counted, or the process is about
to end. What every replica has in common (a ledger that is down, a policy that was not reloaded), and what does not keep
anybody from being served, is told in the parts: a probe that fails everywhere at once takes the whole service away.
"""

from collections.abc import Mapping
from typing import Any

from guard.transports.stores import Stores


def readiness(
    stores: Stores | None, *, started: bool, draining: bool, parts: Mapping[str, str]
) -> tuple[bool, dict[str, Any]]:
    """Return whether requests can be served, and what each part says; ``parts`` are those beside the stores."""
    if stores is None or not started:
        return False, {"started": False, "draining": draining}
    counter, mismatch = stores.counter, stores.counter.mismatch
    facts = {
        "started": True,
        "draining": draining,
        "policy": parts["policy"],
        "policy_files": parts["policy_files"],
        "spool": "ok" if counter.spool_error is None else str(counter.spool_error),
        "spool_records": counter.spool_records,
        "ledger": str(mismatch) if mismatch else "ok" if counter.ledger_up else "down",
        "audit": "off" if stores.journal is None else stores.journal.error or "ok",
        "behavior": parts["behavior"],
        "provenance": "off" if stores.recorder is None else stores.recorder.error or "ok",
        "signing": "off" if stores.signer is None else stores.signer.error or "ok",
    }
    return not (draining or counter.refusing or mismatch is not None), facts
