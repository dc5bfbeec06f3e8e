"""What the report says of each license: facts of its pack, each with its clause and how it was confirmed."""

from collections.abc import Iterable, Mapping
from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from guard.cli.usage.grounds import Grounds
    from guard.licensing.license import License, Threshold
    from guard.policy.config import Config


def license_rows(
    served: Mapping[str, "Iterable[License]"], config: "Config", attested: "Grounds"
) -> list[dict[str, Any]]:
    """Return a row for every license, by id; ``served`` has the licenses of each model."""
    licenses = {each.id: each for stack in served.values() for each in stack}
    return [
        _row(license_, sorted(name for name, stack in served.items() if license_ in stack), config, attested)
        for _, license_ in sorted(licenses.items())
    ]


def unseen_items(licenses: "Iterable[License]") -> list[dict[str, Any]]:
    """Return the items of acceptable use policies that no text shows, with the duty that stands in."""
    return [
        {
            "what": f"Acceptable use: {item.paraphrase}",
            "why": "No text shows it." if item.coverage == "none" else "Texts show a part of it.",
            "instead": item.duty,
            "license": license_.id,
            "clause": item.clause,
            "source": {"pack": license_.id, "clause": item.clause, "status": license_.aup_status.value},
        }
        for license_ in sorted(licenses, key=lambda each: each.id)
        for item in license_.aup
        if item.coverage == "none" or item.duty
    ]


def _row(license_: "License", models: list[str], config: "Config", attested: "Grounds") -> dict[str, Any]:
    use, territory = license_.output_use, license_.territory
    return {
        "license": license_.id,
        "name": license_.name,
        "date": license_.date,
        "status": license_.status.value,
        "models": models,
        "files": [
            {
                "where": file.where,
                "revision": file.revision,
                "sha256": file.sha256,
                "words_sha256": file.words_sha256,
                "status": file.status.value,
            }
            for file in license_.files
        ],
        "files_here": [
            {"model": name, "sha256": _digest(Path(file))}
            for name, file in sorted(
                (name, config.models[name].license_file) for name in models if name in config.models
            )
            if file
        ],
        "commercial": _fact(license_.commercial, license_.commercial_text, license_.commercial_clause, license_),
        "hosting": _fact(license_.hosting, license_.hosting_text, license_.hosting_clause, license_),
        "output_use": {
            "value": use.rule.value,
            "text": use.detail or use.scope,
            "clause": use.clause,
            "status": use.status.value,
        },
        "territory": None
        if territory is None
        else {
            "value": territory.kind,
            "text": f"{', '.join(territory.excluded)} {territory.applies_to}".strip(),
            "clause": territory.clause,
            "status": territory.status.value,
        },
        "thresholds": [_threshold(license_, each, attested) for each in license_.thresholds],
        "readings": [
            {
                "question": each.asks,
                "clause": each.clause,
                "reading": config.usage.readings.get(license_.id, each.default),
            }
            for each in license_.questions
        ],
        "acceptable_use": {
            "text": license_.aup_text,
            "status": license_.aup_status.value,
            "items": len(license_.aup),
            "not_in_text": sum(item.coverage == "none" for item in license_.aup),
            "partly_in_text": sum(item.coverage == "partial" for item in license_.aup),
        },
        "source": {"pack": license_.id},
    }


def _fact(value: str, text: str, clause: str, license_: "License") -> dict[str, str]:
    return {"value": value, "text": text, "clause": clause, "status": license_.status.value}


def _threshold(license_: "License", threshold: "Threshold", attested: "Grounds") -> dict[str, Any]:
    ground = attested.get((license_.id, threshold.id))
    return {
        "id": threshold.id,
        "metric": threshold.metric,
        "value": threshold.value,
        "unit": threshold.unit,
        "comparator": threshold.comparator,
        "window": threshold.window.value,
        "reference_month": threshold.reference_month,
        "scope": threshold.scope,
        "counted_entities": threshold.counted_entities,
        "consequence": threshold.consequence,
        "consequence_text": threshold.consequence_text,
        "clause": threshold.clause,
        "status": threshold.status.value,
        "counts_users": threshold.counts_users,
        "attested": threshold.attested,
        "ground": ground.ground.value if ground is not None else "missing" if threshold.attested else None,
    }


def _digest(file: Path) -> str | None:
    """Return the SHA-256 of a license file beside the weights; None if it cannot be read."""
    try:
        return sha256(file.read_bytes()).hexdigest()
    except OSError:
        return None
