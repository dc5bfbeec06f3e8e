"""Which obligations are met, and how that is known: carried or counted by Guard, stated, attested, or by nothing."""

from collections.abc import Mapping, Sequence
from datetime import date
from typing import TYPE_CHECKING, Any, NamedTuple

from guard.evidence.report.verdicts import COUNTED

if TYPE_CHECKING:
    from guard.exchange.snapshot import Snapshot
    from guard.licensing.license import License
    from guard.policy.config import Config

Row = dict[str, Any]


class Standing(NamedTuple):
    """How an obligation stands: ``met``, ``open``, ``condition`` or ``not_for_serving``."""

    state: str
    how: str
    """``carried``, ``counted``, ``enforced``, ``stated``, ``attested``, ``unknown``, or empty."""
    words: str
    owner: str | None = None
    expires: str | None = None


def obligation_rows(
    snapshot: "Snapshot",
    config: "Config",
    packs: Mapping[str, "License"],
    verdicts: Mapping[tuple[str, str], str],
    attestations: Sequence[Row],
    day: date,
) -> list[Row]:
    """Return everything owed with how it stands on ``day``, by license and clause.

    ``verdicts`` are the states of standing limits, by license and limit.
    """
    from guard.transports.readings import obligation_facts

    judge = _Judge(snapshot, config, packs, verdicts, attestations, day)
    rows = []
    for item in obligation_facts(snapshot):
        standing = judge.standing(item)
        rows.append(
            {
                **{name: item[name] for name in ("license", "clause", "status", "act", "kind", "text", "trigger")},
                "models": sorted(item["models"]),
                "owed_for": list(item["owed_for"]),
                **standing._asdict(),
                "source": {"pack": item["license"], "clause": item["clause"], "status": item["status"]},
            }
        )
    return sorted(rows, key=lambda row: (row["license"], row["clause"], row["kind"], row["text"]))


class _Judge:
    def __init__(
        self,
        snapshot: "Snapshot",
        config: "Config",
        packs: Mapping[str, "License"],
        verdicts: Mapping[tuple[str, str], str],
        attestations: Sequence[Row],
        day: date,
    ) -> None:
        self._snapshot, self._config, self._packs, self._day = snapshot, config, packs, day
        self._verdicts = verdicts
        self._attested = {(row["license"], row["limit"]): row for row in attestations}

    def standing(self, item: Row) -> Standing:
        """Return how one obligation stands."""
        if "serving" not in item["owed_for"]:
            return Standing("not_for_serving", "", f"Owed for {' and '.join(item['owed_for'])}, not for serving.")
        if item["carried"]:
            return Standing("met", "carried", f"Guard sends it in the {' and '.join(item['carried'])} of every answer.")
        if item["kind"] == "threshold":
            return self._threshold(item)
        stated = self._stated(item)
        if stated is not None:
            return stated
        if item["kind"] == "territory":
            return self._territory(item)
        if item["kind"] == "flow_down" and self._config.identity.terms == "require":
            return Standing(
                "met", "enforced", "Callers whose acceptance is not on record are refused (identity.terms)."
            )
        if item["kind"] in {"purpose", "hosting"} and not self._wanted(item):
            return Standing("condition", "", "A condition of the license; its other clauses say what is to be done.")
        return Standing("open", "unknown", "Nothing shows it: no gateway sees it, and nobody states it.")

    def _threshold(self, item: Row) -> Standing:
        from guard.licensing.obligations import threshold_text

        license_ = self._packs[item["license"]]
        threshold = next((part for part in license_.thresholds if threshold_text(part) == item["text"]), None)
        if threshold is None or not threshold.counts_users:
            return self._stated(item) or Standing(
                "open", "unknown", "No gateway sees it, and nobody states it (operator.statements)."
            )
        if threshold.attested:
            row = self._attested.get((license_.id, threshold.id))
            if row is not None and row["ground"] == "shown":
                return Standing("met", "attested", row["statement"], row["owner"], row["expires"])
            return Standing("open", "unknown", row["lacks"] if row is not None else "No attestation is in force.")
        verdict = self._verdicts.get((license_.id, threshold.id), "unknown")
        if verdict == "unknown":
            return Standing("open", "unknown", "The month was not counted for it.")
        if verdict == COUNTED:
            words = "Counted by Guard, and within what was counted; nothing shows that it was all."
            return Standing("open", "counted", words)
        return Standing("open" if verdict == "over" else "met", "counted", f"Counted by Guard: {verdict}.")

    def _stated(self, item: Row) -> Standing | None:
        from guard.licensing.need import OF_OBLIGATION

        about = (item["license"], OF_OBLIGATION.get(item["kind"]))
        found = [each for each in self._config.operator.statements if (each.license, each.about) == about]
        for each in found:
            if self._day <= each.expires:
                return Standing("met", "stated", each.says, each.owner, each.expires.isoformat())
        for each in found:
            words = f"Stated until {each.expires}, which is over: {each.says}"
            return Standing("open", "unknown", words, each.owner, each.expires.isoformat())
        return None

    def _territory(self, item: Row) -> Standing:
        territory = self._packs[item["license"]].territory
        kind = territory.kind if territory is not None else ""
        if kind == "licensee_domicile" and self._config.operator.domicile is not None:
            words = (
                f"operator.domicile is {self._config.operator.domicile}, and a policy with an excluded one is refused."
            )
            return Standing("met", "stated", words)
        if kind == "place_of_use" and self._config.territory.country_headers:
            return Standing("met", "enforced", "Requests are located, and those from excluded places refused.")
        if kind in {"licensee_domicile", "place_of_use"}:
            return Standing("open", "unknown", "Nothing says where the licensee, or the users, are.")
        return Standing("condition", "", "Law that applies by itself; no request shows it.")

    def _wanted(self, item: Row) -> bool:
        from guard.licensing.need import OF_OBLIGATION, needs

        about = OF_OBLIGATION.get(item["kind"])
        return any(need.about == about for need in needs(self._packs[item["license"]]))
