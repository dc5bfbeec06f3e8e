"""The attestations of a configuration, against the thresholds that look at the users of one past month.

An attestation that does not count (unreadable, changed, expired, by nobody who is named) is none, and no problem that
would keep the rest of a policy from being loaded: a gateway goes on, warns, and refuses where it is told to.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from datetime import date, timedelta
from enum import StrEnum
from pathlib import Path

from guard.licensing.license import License, Threshold
from guard.licensing.need import Need
from guard.policy.config import Config
from guard.policy.reading import read_bounded
from guard.policy.settings.usage import AttestorConfig
from guard.usage.attestation import MOST_BYTES, AttestationError, Signed, is_public_key, public_key_of


class Ground(StrEnum):
    """What is known of one threshold."""

    SHOWN = "shown"
    """An attestation in force says that there were few enough."""
    MISSING = "missing"
    OPEN = "open"
    """What is attested is a bound above the threshold, or the users of a part, so nothing follows from it."""
    BEYOND = "beyond"
    """There were more than the license allows, by the attestation itself: it gives no rights."""


@dataclass(frozen=True, slots=True)
class Filed:
    """One entry of ``usage.attestations``."""

    index: int
    signed: Signed | None = None
    """None for a file that is no attestation with a signature that holds."""
    wrong: str | None = None
    """Why it counts for nothing; None if it counts."""
    signer: str | None = None
    """The name of the attestor; None where no attestors are named, or it is none of them."""


@dataclass(frozen=True, slots=True)
class Attested:
    """One threshold of one license, and what is known of it."""

    license: License
    threshold: Threshold
    ground: Ground
    filed: Filed | None = None
    """What that rests on; None for MISSING."""

    @property
    def until(self) -> str | None:
        """The last day (``2026-11-22``) on which the threshold is shown; None where it is not, or without an end."""
        if self.ground is not Ground.SHOWN or self.filed is None or self.filed.signed is None:
            return None
        return self.filed.signed.attestation.expires

    @property
    def words(self) -> str:
        """The statement with its owner, as it is shown beside what is owed; empty where there is none."""
        if self.filed is None or self.filed.signed is None:
            return ""
        said = self.filed.signed.attestation
        by = f"signed by {self.filed.signer}" if self.filed.signer else f"signed with {self.filed.signed.key}"
        until = f", until {said.expires}" if said.expires else ""
        counted = f"of {said.products}; {said.affiliates}{'' if said.covers_all else '; only a part'}"
        return (
            f"{said.licensee}: {said.figure} in {said.reference_month}, {counted}; an active user is "
            f"{said.active_user}; {said.statement} ({said.owner}, {said.stated}{until}, {by})"
        )

    @property
    def lacks(self) -> str:
        """What is wrong with that, in words; empty for SHOWN."""
        threshold, month = self.threshold, self.threshold.reference_month
        said = self.filed.signed.attestation if self.filed is not None and self.filed.signed is not None else None
        if said is None:
            return (
                f"license {self.license.id} looks at the users of {month} ({threshold.clause}), and no attestation in "
                "force says how many there were; see usage.attestations"
            )
        if self.ground is Ground.BEYOND:
            return (
                f"license {self.license.id} gives no rights: {said.figure} in {month}, stated by {said.owner} on "
                f"{said.stated}, are more than the {threshold.allowed:,} it allows ({threshold.clause})"
            )
        if self.ground is Ground.OPEN and not said.covers_all:
            return (
                f"license {self.license.id} looks at the users of {month} ({threshold.clause}): {said.figure}, stated "
                f"by {said.owner} on {said.stated}, are those of {said.products}; {said.affiliates}, and nothing says "
                "that the license counts no others"
            )
        if self.ground is Ground.OPEN:
            return (
                f"license {self.license.id} looks at the users of {month} ({threshold.clause}): {said.figure}, stated "
                f"by {said.owner} on {said.stated}, leaves open whether there were more than {threshold.allowed:,}"
            )
        return ""

    @property
    def need(self) -> Need | None:
        """What the license wants and has not; None if it has it."""
        if self.ground is Ground.SHOWN:
            return None
        about = "rights" if self.ground is Ground.BEYOND else "attestation"
        return Need(self.license.id, about, self.lacks, self.threshold.clause, self.threshold.status)


def attestor_key(attestor: AttestorConfig) -> bytes:
    """Return the public key of ``attestor``. Raises AttestationError, and OSError for a file that cannot be read."""
    if is_public_key(attestor.key):
        return public_key_of(attestor.key)
    return public_key_of(read_bounded(Path(attestor.key), MOST_BYTES).decode("utf-8", "replace"))


def attestor_keys(config: Config) -> dict[bytes, str]:
    """Return the names of the attestors by their public keys; those whose key cannot be used are missing."""
    found = {}
    for attestor in config.usage.attestors:
        try:
            found[attestor_key(attestor)] = attestor.name
        except (AttestationError, OSError):
            continue  # the check of the attestors says so
    return found


def filed(config: Config, packs: Mapping[str, License], today: date, *, by_clock: bool = True) -> list[Filed]:
    """Return the attestations that ``config`` names as they are now, each with what is wrong with it on ``today``.

    ``by_clock``: as in ``misfit``.
    """
    if not config.usage.attestations:
        return []
    keys, licensee = attestor_keys(config) if config.usage.attestors else None, config.operator.name
    found = []
    for index, name in enumerate(config.usage.attestations):
        each = _read(index, Path(name), keys)
        if each.signed is not None and each.wrong is None:
            each = replace(each, wrong=misfit(each.signed, packs, today, licensee, by_clock=by_clock))
        found.append(each)
    return found


def attested(licenses: Iterable[License], files: Sequence[Filed]) -> Iterator[Attested]:
    """Yield what ``files`` say of every threshold of ``licenses`` that looks at one past month.

    Of several attestations of one threshold the one that was stated last counts; of one day, that with most users.
    """
    for license_ in licenses:
        for threshold in license_.thresholds:
            if threshold.attested:
                about = [each for each in files if _is_about(each, license_, threshold)]
                yield _attested(license_, threshold, max(about, key=_rank, default=None))


def unattested(licenses: Iterable[License], config: Config, today: date) -> Need | None:
    """Return the first thing that the requests of a model under ``licenses`` are refused for; None if they are not."""
    if config.usage.unattested != "refuse":
        return None
    stack = {license_.id: license_ for license_ in licenses}
    needs = (found.need for found in attested(stack.values(), filed(config, stack, today)))
    return next((need for need in needs if need is not None), None)


def expiries(files: Iterable[Filed]) -> Iterator[date]:
    """Yield the last days of the attestations in ``files``."""
    for each in files:
        if each.signed is not None and each.signed.attestation.expires is not None:
            yield date.fromisoformat(each.signed.attestation.expires)


def _read(index: int, path: Path, keys: Mapping[bytes, str] | None) -> Filed:
    try:
        signed = Signed.from_json(read_bounded(path, MOST_BYTES))
    except OSError as error:
        return Filed(index, None, f"cannot be read: {error.strerror}")
    except AttestationError as error:
        return Filed(index, None, f"no attestation that counts: {error}")
    signer = keys.get(signed.public_key) if keys is not None else None
    wrong = None
    if keys is not None and signer is None:
        wrong = f"signed with {signed.key}, the key of nobody in usage.attestors"
    return Filed(index, signed, wrong, signer)


def misfit(
    signed: Signed, packs: Mapping[str, License], today: date, licensee: str | None, *, by_clock: bool = True
) -> str | None:
    """Return why ``signed``, whose signature holds, says nothing of any license in ``packs`` on ``today``, in words.

    ``licensee`` is whom it has to be about; None: anybody. ``by_clock`` is True where ``today`` is what a clock says:
    the day of whoever signed may have begun earlier.
    """
    said = signed.attestation
    if licensee not in {None, said.licensee}:
        return f"about the users of '{said.licensee}'; operator.name is '{licensee}'"
    license_ = packs.get(said.license)
    if license_ is None:
        return f"about license {said.license}, which is unknown"
    months = {part.id: part.reference_month for part in license_.thresholds if part.attested}
    if said.threshold not in months:
        return f"about threshold {said.threshold}, which license {said.license} does not have or does not want attested"
    if said.reference_month != months[said.threshold]:
        return f"about {said.reference_month}; license {said.license} looks at {months[said.threshold]}"
    latest = today + timedelta(days=1) if by_clock and today < date.max else today
    if said.stated > latest.isoformat():
        return f"stated on {said.stated}, a day to come"
    return f"expired on {said.expires}" if said.has_expired(today) else None


def _is_about(each: Filed, license_: License, threshold: Threshold) -> bool:
    if each.wrong is not None or each.signed is None:
        return False
    said = each.signed.attestation
    return (said.license, said.threshold) == (license_.id, threshold.id)


def _rank(each: Filed) -> tuple[str, int, bool]:
    said = each.signed.attestation if each.signed is not None else None
    return (said.stated, said.users, not said.at_most) if said is not None else ("", 0, False)


def _attested(license_: License, threshold: Threshold, best: Filed | None) -> Attested:
    if best is None or best.signed is None:
        return Attested(license_, threshold, Ground.MISSING)
    said = best.signed.attestation
    ground = Ground.BEYOND if said.exceeds(threshold.allowed) else Ground.OPEN
    return Attested(license_, threshold, Ground.SHOWN if said.shows(threshold.allowed) else ground, best)
