"""What the runtime calls when a choice is finished: a receipt for the journal, a record for the index.

``finished`` hands the texts over and returns; digests, fingerprints and the journal entry are made in the background.
kill -9 loses what was handed over and not yet written, usually the last tenth of a second, and the answers that were
being given. How many that was is counted beside the segment, in memory that survives it: where it was none, the index
stays complete. When choices come faster than they can be digested, their receipts are journaled without digests and the
index counts them as dropped: coverage shows it, and ``export check`` says undetermined. Where receipts are off choices
are counted and nothing else, for the same reason.
"""

import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from pathlib import Path
from typing import Any, Protocol

from guard.evidence.chain import JournalError
from guard.evidence.entry import Facts
from guard.licensing.license import License
from guard.provenance.declaration import Declaration, Declarations
from guard.provenance.index import FingerprintWriter, Texts
from guard.provenance.months import MonthKeys
from guard.provenance.receipt import Finished, Receipt, receipt_id
from guard.provenance.retention import Shredded


class Entries(Protocol):
    """What the recorder needs of the journal."""

    def append(self, kind: str, facts: Mapping[str, Any]) -> None:
        """Chain one entry. Raises JournalError if it cannot be kept."""

    def append_all(self, kind: str, each: Sequence[Facts]) -> int:
        """Chain an entry for each and return how many are kept; may wait for the disk."""


class Recorder:
    """Receipts and fingerprints of one process. ``directory`` is the index; ``journal`` takes the receipts, if any.

    ``key`` is the master key, ``keys`` has those of the months. ``recorded``, ``minutes`` and ``keep_months`` are as
    FingerprintWriter takes them; what is not recorded is given to ``unrecorded``, never to ``finished``. ``clock``
    returns epoch seconds. Raises ValueError for a key that is not 16 to 64 bytes long.
    """

    def __init__(
        self,
        directory: Path,
        key: bytes,
        keys: MonthKeys,
        instance: str,
        journal: Entries | None,
        *,
        recorded: bool = True,
        fingerprints: bool = True,
        minutes: float = 60.0,
        keep_months: int | None = None,
        clock: Callable[[], float] = time.time,
    ) -> None:
        self.writer = FingerprintWriter(
            directory,
            instance,
            key,
            keys,
            receipted=self._journal,
            shredded=self._shredded,
            recorded=recorded,
            fingerprints=fingerprints,
            minutes=minutes,
            keep_months=keep_months,
            clock=clock,
        )
        self.begun: Callable[[], None] = self.writer.tally.begin
        """Count an exchange; call before the first byte of its answer leaves."""
        self.ended: Callable[[], None] = self.writer.tally.end
        """Count its end; call when every choice of it was handed to ``finished`` or ``unrecorded``."""
        self.unrecorded: Callable[[int], None] = self.writer.count
        """Count finished choices that get no receipt because receipts are off."""
        self.journaled = 0
        """Receipts handed to the journal."""
        self.refused = 0
        """Receipts the journal refused; it counts them in a ``gap`` entry when its disk works again."""
        self._entries, self._declarations = journal, Declarations()

    def start(self) -> None:
        """Begin to record. Raises OSError or MonthKeyError if the index or the month's key cannot be written.

        It raises nothing where choices are only counted.
        """
        self.writer.start()

    def finished(
        self,
        *,
        reference: str,
        choice: int,
        time: float,
        model: str,
        licenses: Sequence[License | str],
        policy: str,
        surface: str,
        prompt: Texts,
        output: Texts,
        tenant: str | None = None,
        user: int | None = None,
        purpose: str = "unknown",
        prompt_tokens: int | None = None,
        completion_tokens: int | None = None,
        finish_reason: str | None = None,
    ) -> str:
        """Record a finished choice and return its receipt's id; never waits, never raises for lack of room.

        ``time`` is in epoch seconds. ``output`` is what was released: one text, or better one per channel (content,
        reasoning, tool arguments), because each gets a digest of its own. ``prompt`` is what was asked; choices of one
        request should pass the same object, then it is looked at once. A license given by its id alone stands in the
        receipt without its clause on output use.
        """
        finished = Finished(
            reference,
            choice,
            time,
            tenant,
            user,
            model,
            licenses,
            policy,
            purpose,
            surface,
            prompt_tokens,
            completion_tokens,
            finish_reason,
        )
        self.writer.submit(finished, prompt, output)
        return receipt_id(reference, choice)

    def declared(
        self,
        *,
        reference: str,
        time: float,
        tenant: str | None,
        user: int | None,
        source: str,
        purpose: str,
        model: str | None,
        licenses: Sequence[License | str],
        verdict: str,
        clause: str,
    ) -> None:
        """Record what somebody states to do with answers, once a day; never waits, never raises for lack of room.

        ``time`` is in epoch seconds, ``source`` is who stated it, ``verdict`` and ``clause`` are what became of it.
        """
        declaration = Declaration(reference, time, tenant, user, source, purpose, model, licenses, verdict, clause)
        if self._entries is None or not self._declarations.new(declaration):
            return
        with suppress(JournalError):  # the journal counts what it refused
            self._entries.append("declaration", declaration.facts())

    def close(self, timeout: float = 10.0) -> None:
        """Write what waits, at most for ``timeout`` seconds; close the journal after this, not before."""
        self.writer.close(timeout)

    @property
    def healthy(self) -> bool:
        """True while choices are being written to the index."""
        return self.writer.healthy

    @property
    def error(self) -> str | None:
        """Why the index does not take what it is given, or None."""
        return self.writer.error

    def _journal(self, receipts: list[Receipt]) -> None:
        if self._entries is not None:
            taken = self._entries.append_all("receipt", [receipt.entry() for receipt in receipts])
            self.journaled += taken
            self.refused += len(receipts) - taken

    def _shredded(self, shredded: Shredded) -> None:
        if self._entries is not None:
            with suppress(JournalError):  # the journal counts what it refused
                self._entries.append("shredded", shredded.facts())
