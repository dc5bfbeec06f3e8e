"""The stores of one process, opened in order and closed in the opposite one: nothing is written into a closed one."""

import time
from collections.abc import Callable, Mapping
from contextlib import ExitStack, suppress
from functools import lru_cache
from pathlib import Path

from guard.behavior.address import behavior_key, open_store
from guard.evidence.chain import Journal
from guard.evidence.place import FilePlace, Place, WebhookPlace
from guard.evidence.sender import HeadSender
from guard.evidence.signing import Signer
from guard.policy.config import Config
from guard.policy.settings.evidence import HeadsConfig
from guard.provenance.layout import Layout
from guard.provenance.months import MonthKeys
from guard.provenance.recorder import Recorder
from guard.provenance.upload import Attempt, Uploader
from guard.transports.instance import Instance
from guard.usage.address import open_ledger, sqlite_url
from guard.usage.counter import UsageCounter
from guard.usage.keyring import check_rolling, load_keyring
from guard.usage.ledger import LedgerUnavailable
from guard.usage.period import Calendar, Kind, kind_of
from guard.usage.pseudonym import PseudonymKeyError, load_or_create_key
from guard.usage.spool import Spool

MEGABYTE = 1024 * 1024
STOP_SECONDS = 10.0
"""How long all stores together may take to accept what waits; the spool keeps what the ledger does not."""


def ledger_url(config: Config) -> str:
    """Return where the users are counted: what is configured, else the file in the state directory."""
    file = sqlite_url(Path(config.state_dir).absolute() / "ledger.db") + "?synchronous=full" * config.usage.fsync
    return config.usage.ledger or file


class Stores:
    """Ledger, audit chain and provenance index as ``config`` names them.

    Opening raises whatever a store raises that cannot do its work (LedgerError, SigningError, OSError ...); what was
    opened before is closed again. ``uploaded`` is told, in another thread, of every run of the upload command.
    ``slot`` is the number of a worker, which its files are to go by.
    """

    journal: Journal | None = None
    recorder: Recorder | None = None
    unrecorded: Recorder | None = None
    """Counts answers where receipts are off, if it can: then none of the two above is there to miss them."""
    signer: Signer | None = None
    """Signs receipts and the audit chain; None where there is none."""
    heads: HeadSender | None = None
    """Sends the audit chain's heads off the machine, where a place for them is configured."""

    def __init__(
        self, config: Config, uploaded: Callable[[Attempt], None] = lambda _attempt: None, *, slot: int = 0
    ) -> None:
        state = Path(config.state_dir).absolute()
        state.mkdir(parents=True, exist_ok=True)
        layout = Layout(state)
        self._until = 0.0
        with ExitStack() as closing:
            instance = Instance(state, slot)
            closing.callback(instance.release)
            self.first = instance.number == 0
            """True in one process of those that share the state directory."""
            named = config.identity.pseudonym_key_file
            keyring = load_keyring(Path(named) if named else state / "pseudonym.key")
            kinds = tuple(map(Kind, config.usage.windows))
            check_rolling(keyring, kinds)
            self.calendar = Calendar(config.usage.zone, kinds)
            self.pseudonyms = keyring.pseudonyms(self.calendar)
            if config.evidence.audit:
                self.signer = Signer(layout.signing)
                self.journal = self._keep(config, instance, self.signer, closing)
            url = ledger_url(config)
            ledger = open_ledger(url)
            closing.callback(ledger.close)
            fingerprint_of = lru_cache(maxsize=64)(self.pseudonyms.fingerprint_of)
            spool = Spool(state / "spool", fingerprint_of, fsync=config.usage.fsync, keep=ledger.forgetful)
            self.counter = UsageCounter(
                ledger,
                spool,
                self.calendar,
                seen_capacity=config.usage.seen,
                keep=config.usage.keep,
                serve_unspooled=config.usage.disk_full == "serve",
            )
            self.counter.start()
            closing.callback(self._within, self.counter.stop)
            self._ledger = ledger
            self.behavior = open_store(url, state)
            self.behavior_key = behavior_key(keyring)
            self.began: Mapping[Kind, str] = {}
            """The oldest day and the oldest period of every kind in the ledger; empty until it has said so."""
            self.look_back()
            if config.outputs.receipts:
                self.recorder = self._record(config, instance, uploaded, closing)
            else:
                with suppress(OSError, PseudonymKeyError):  # to count what is not recorded is no reason not to serve
                    self.unrecorded = self._record(config, instance, uploaded, closing)
            self._closing = closing.pop_all()

    def _keep(self, config: Config, instance: Instance, signer: Signer, closing: ExitStack) -> Journal:
        """Return the audit chain, started, and send its heads where the configuration says."""
        evidence = config.evidence
        if evidence.heads:
            self.heads = HeadSender([_place(each) for each in evidence.heads])
            self.heads.start()
            closing.callback(self._within, self.heads.close)
        journal = Journal(
            Layout(Path(config.state_dir).absolute()).audit,
            instance=instance.name,
            fsync=evidence.fsync,
            rotate_bytes=evidence.rotate_megabytes * MEGABYTE,
            signer=signer,
            checkpoint_seconds=evidence.checkpoint_minutes * 60.0,
            heads=self.heads.send if self.heads is not None else None,
            self_check=True,
        )
        journal.start()
        closing.callback(self._within, journal.close)
        return journal

    def _record(
        self, config: Config, instance: Instance, uploaded: Callable[[Attempt], None], closing: ExitStack
    ) -> Recorder:
        """Return what writes the index, started, and copy the index if that was asked for."""
        outputs, layout = config.outputs, Layout(Path(config.state_dir).absolute())
        if outputs.upload:
            uploader = Uploader(layout.provenance, outputs.upload, attempted=uploaded)
            uploader.start()
            closing.callback(self._within, uploader.close)
        recorder = Recorder(
            layout.provenance,
            load_or_create_key(layout.key),
            MonthKeys(layout.keys),
            instance.name,
            self.journal,
            recorded=outputs.receipts,
            fingerprints=outputs.fingerprints,
            minutes=outputs.segment_minutes,
            keep_months=outputs.keep_months,
        )
        recorder.start()
        closing.callback(self._within, recorder.close)
        return recorder

    def look_back(self) -> None:
        """Ask the ledger when counting began, if it has not said so yet; where it has nothing, it begins now.

        A ledger that cannot be reached says nothing.
        """
        if self.began:
            return
        with suppress(LedgerUnavailable):
            known, now = self._ledger.periods(), time.time()
            current = {Kind.DAY: self.calendar.day(now), **self.calendar.periods(now)}  # windows are made of days
            self.began = {
                kind: min((each for each in known if kind_of(each) is kind), default=period)
                for kind, period in current.items()
            }

    def close(self, seconds: float = STOP_SECONDS) -> None:
        """Flush and close everything, within about ``seconds`` where a store does not answer; idempotent."""
        self._until = time.monotonic() + seconds
        self._closing.close()

    def _within(self, close: Callable[[float], object]) -> None:
        """Let one store take half of the time that is left: those behind it need some too."""
        close(max(1.0, (self._until - time.monotonic()) / 2))


def _place(where: HeadsConfig) -> Place:
    if where.file is not None:
        return FilePlace(Path(where.file).absolute())
    token, ca = (None if name is None else Path(name).absolute() for name in (where.token_file, where.ca))
    return WebhookPlace(where.webhook or "", token, ca)
