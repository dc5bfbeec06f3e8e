"""What is owed, and to whom it can be shown: for serving a model, and for training another on its outputs."""

from collections.abc import Collection, Iterable, Mapping, Sequence
from typing import NamedTuple

from guard.licensing.license import OCCASIONS, License, Status, Threshold, Window

ACTS: Mapping[str, frozenset[str]] = {
    "display": frozenset({"display"}),
    "name": frozenset({"name_prefix"}),
    "attach": frozenset({"notice_file", "license_copy"}),
    "tell users": frozenset({"disclosure"}),
    "pass on": frozenset({"flow_down", "inherit_terms"}),
    "report or state": frozenset({"permission", "threshold"}),
    "stay within": frozenset({"purpose", "hosting", "territory"}),
    "keep to": frozenset({"use_limit", "aup_duty"}),
}
"""What obligations of each kind come down to, in the order a reader wants them."""


class Obligation(NamedTuple):
    """Something a licensee owes, with the clause that says so."""

    kind: str
    """A duty's kind (``display``, ``notice_file``, ``license_copy``, ``name_prefix``, ``disclosure``, ``flow_down``,
    ``inherit_terms``, ``use_limit``, ``permission``), or ``purpose``, ``hosting``, ``territory``, ``threshold``,
    ``aup_duty``."""
    text: str
    trigger: str
    license: str
    clause: str
    status: Status
    wording: str = ""
    """The exact words to be shown, or to begin a name with, where the license gives them."""
    places: tuple[str, ...] = ()
    """Where the words may stand; any one place will do. Empty: the license names none."""
    owed_for: tuple[str, ...] = ("serving",)
    """Some of ``guard.licensing.license.OCCASIONS``."""

    @property
    def act(self) -> str:
        """What is to be done: one of ``ACTS``."""
        return next(act for act, kinds in ACTS.items() if self.kind in kinds)


def all_obligations(licenses: Sequence[License]) -> tuple[Obligation, ...]:
    """Return everything owed by whoever serves, distributes or learns from a model under ``licenses``.

    What Guard cannot do alone is included. ``owed_for`` says which of the three each is for.
    """
    found: list[Obligation] = []
    for license_ in licenses:
        found += _conditions(license_)
        found += _duties(license_, OCCASIONS)
        found += (_threshold(license_, threshold) for threshold in license_.thresholds)
        found += (
            Obligation(
                "aup_duty",
                item.duty,
                f"it stands in for: {item.paraphrase}",
                license_.id,
                item.clause,
                license_.aup_status,
            )
            for item in license_.aup
            if item.duty
        )
    return _unique(found)


def training_obligations(licenses: Sequence[License]) -> tuple[Obligation, ...]:
    """Return everything owed by whoever trains a model on outputs of a model under ``licenses``."""
    return _unique(duty for license_ in licenses for duty in _duties(license_, {"training"}))


def _duties(license_: License, occasions: Collection[str]) -> list[Obligation]:
    return [
        Obligation(
            duty.kind,
            duty.text,
            duty.trigger,
            license_.id,
            duty.clause,
            duty.status,
            duty.wording,
            duty.places,
            duty.owed_for,
        )
        for duty in license_.duties
        if set(occasions) & set(duty.owed_for)
    ]


def _conditions(license_: License) -> list[Obligation]:
    found = []
    if license_.commercial != "allowed":
        text = license_.commercial_text or f"commercial use is {license_.commercial}"
        found.append(Obligation("purpose", text, "any use", license_.id, license_.commercial_clause, license_.status))
    if license_.hosting != "allowed":
        text = license_.hosting_text or license_.hosting
        found.append(
            Obligation(
                "hosting", text, "offering the model to others", license_.id, license_.hosting_clause, license_.status
            )
        )
    territory = license_.territory
    if territory is not None:
        places = f" ({', '.join(territory.excluded)})" if territory.excluded else ""
        text = f"{territory.kind.replace('_', ' ')}{places}: {territory.applies_to}"
        found.append(Obligation("territory", text, "any use", license_.id, territory.clause, territory.status))
    return found


def threshold_text(threshold: Threshold) -> str:
    """Return ``threshold`` in words, with what follows from passing it."""
    value = "an unstated amount" if threshold.value is None else f"{threshold.value:,}"
    sign = "below" if threshold.comparator == "must_be_less_than" else "not above"
    text = f"{threshold.metric.replace('_', ' ')} {sign} {value}"
    if threshold.unit:
        text += f" {threshold.unit}"
    if threshold.window is Window.RELEASE_SNAPSHOT:
        text += f" in {threshold.reference_month}, attested: a later count changes nothing"
    elif not threshold.counts_users:
        text += ", attested: no gateway sees it"
    return f"{text}; otherwise {threshold.consequence_text}"


def _threshold(license_: License, threshold: Threshold) -> Obligation:
    return Obligation(
        "threshold", threshold_text(threshold), threshold.scope, license_.id, threshold.clause, threshold.status
    )


def _unique(found: Iterable[Obligation]) -> tuple[Obligation, ...]:
    return tuple(dict.fromkeys(found))
