"""What is attested of the thresholds that look at one past month, with the digests of the files that say so."""

from hashlib import sha256
from pathlib import Path
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from guard.cli.usage.grounds import Grounds
    from guard.policy.attestations import Attested
    from guard.policy.config import Config


def attestation_rows(attested: "Grounds", config: "Config") -> list[dict[str, Any]]:
    """Return a row for every threshold that wants an attestation, by license."""
    return [_row(each, config) for _, each in sorted(attested.items())]


def _row(each: "Attested", config: "Config") -> dict[str, Any]:
    filed, file = each.filed, None
    signed = filed.signed if filed is not None else None
    if filed is not None:
        file = Path(config.usage.attestations[filed.index])
    return {
        "license": each.license.id,
        "limit": each.threshold.id,
        "clause": each.threshold.clause,
        "reference_month": each.threshold.reference_month,
        "allowed": each.threshold.allowed,
        "ground": each.ground.value,
        "statement": each.words,
        "lacks": each.lacks,
        "owner": signed.attestation.owner if signed is not None else None,
        "stated": signed.attestation.stated if signed is not None else None,
        "expires": signed.attestation.expires if signed is not None else None,
        "key": signed.key if signed is not None else None,
        "signer": filed.signer if filed is not None else None,
        "file": file.name if file is not None else None,
        "sha256": sha256(file.read_bytes()).hexdigest() if file is not None else None,
        "source": {
            "pack": each.license.id,
            "clause": each.threshold.clause,
            "status": each.threshold.status.value,
            "attestation": file.name if file is not None else None,
        },
    }
