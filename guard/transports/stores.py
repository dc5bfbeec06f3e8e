"""The stores of one process, opened in order and closed in the opposite one: nothing is written into a closed one."""

import time
from contextlib import ExitStack
from pathlib import Path

from guard.evidence.chain import Journal
from guard.policy.config import Config
from guard.provenance.layout import Layout
from guard.provenance.recorder import Recorder
from guard.transports.instance import Instance
from guard.usage.counter import UsageCounter
from guard.usage.ledger import open_ledger, sqlite_url
from guard.usage.period import Calendar
from guard.usage.pseudonym import Pseudonymizer, load_or_create_key
from guard.usage.spool import Spool

STOP_SECONDS = 10.0
"""How long the ledger, and how long the index, may take to accept what waits; the spool keeps what they don't."""


class Stores:
    """Ledger, audit chain and provenance index as ``config`` names them.

    Opening raises whatever a store raises that cannot do its work (LedgerError, SpoolError, OSError ...); what was
    opened before is closed again.
    """

    journal: Journal | None = None
    recorder: Recorder | None = None

    def __init__(self, config: Config) -> None:
        state = Path(config.state_dir).absolute()
        state.mkdir(parents=True, exist_ok=True)
        layout = Layout(state)
        with ExitStack() as closing:
            instance = Instance(state)
            closing.callback(instance.release)
            self.first = instance.number == 0
            """True in one process of those that share the state directory."""
            named = config.identity.pseudonym_key_file
            self.pseudonyms = Pseudonymizer(load_or_create_key(Path(named) if named else state / "pseudonym.key"))
            if config.evidence.audit:
                self.journal = Journal(layout.audit, instance=instance.name, fsync=config.evidence.fsync)
                self.journal.start()
                closing.callback(self.journal.close)
            url = config.usage.ledger or sqlite_url(state / "ledger.db") + "?synchronous=full" * config.usage.fsync
            ledger = open_ledger(url, self.pseudonyms.fingerprint)
            closing.callback(ledger.close)
            self.calendar = Calendar(config.usage.zone)
            spool = Spool(state / "spool", self.pseudonyms.fingerprint, fsync=config.usage.fsync)
            self.counter = UsageCounter(ledger, spool, self.calendar)
            self.counter.start()
            closing.callback(self.counter.stop, STOP_SECONDS)
            if config.outputs.receipts:
                self.recorder = Recorder(
                    layout.provenance,
                    load_or_create_key(layout.key),
                    instance.name,
                    self.journal,
                    fingerprints=config.outputs.fingerprints,
                )
                self.recorder.start()
                closing.callback(self.recorder.close, STOP_SECONDS)
            self._closing = closing.pop_all()

    @property
    def period(self) -> str:
        """The id of the current period."""
        return self.calendar.period(time.time()).id

    def close(self) -> None:
        """Flush and close everything; idempotent. Takes up to 20 seconds when a store does not answer."""
        self._closing.close()
