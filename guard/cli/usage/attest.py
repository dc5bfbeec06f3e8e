"""``guard usage attest``: state and sign how many users there were in the month that a license looks at."""

import json
import sys
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, date, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

    from guard.licensing.license import License, Threshold
    from guard.policy.config import Config
    from guard.usage.attestation import Signed

EX_DATA, EX_CANTCREAT, NEGATIVE = 65, 73, 1


def attest(
    files: list[Path] | None = typer.Argument(None, metavar="[FILE]...", help="Attestations, with --verify."),
    verify: bool = typer.Option(False, "--verify", help="Check FILE... and write nothing."),
    license_id: str | None = typer.Option(None, "--license", metavar="ID", help="The license that looks at the month."),
    users: int | None = typer.Option(
        None, min=0, help="Monthly active users of the month, of everything that the license counts."
    ),
    at_most: bool = typer.Option(False, "--at-most", help="There were --users or fewer."),
    statement: str | None = typer.Option(None, help="How the number is known, and where its documents are."),
    owner: str | None = typer.Option(None, help="Who answers for it: legal@example.org."),
    licensee: str | None = typer.Option(None, help="Whose users they are; the configuration's operator.name."),
    active_user: str | None = typer.Option(None, help="Who was counted as an active user: few licenses define one."),
    reference_month: str | None = typer.Option(
        None, metavar="YYYY-MM", help="The month. Default: the one that the license looks at; no other is accepted."
    ),
    threshold: str | None = typer.Option(None, metavar="ID", help="Which threshold, if the license has several."),
    products: str | None = typer.Option(
        None, help="The products whose users are in the number. Default: those that the license counts."
    ),
    affiliates: str | None = typer.Option(
        None, help="The companies whose products those are. Default: those that the license counts."
    ),
    covers_all: bool = typer.Option(
        False, "--covers-all", help="--products and --affiliates name everything that the license counts."
    ),
    expires: str | None = typer.Option(None, metavar="YYYY-MM-DD", help="Last day on which it is to be relied on."),
    key: Path = typer.Option(Path("attestor.pem"), help="Private Ed25519 key (PEM); made, with mode 0600, if missing."),
    out: Path | None = typer.Option(None, help="The file to be written."),
    config: Path | None = typer.Option(
        None, help="guard.yaml, for packs and attestors of your own. Default: $GUARD_CONFIG, or else ./guard.yaml."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """State and sign how many users there were in the month that a license looks at, or check such statements.

    Ends with 1 if by an attestation there are no rights, or it does not count.
    """
    today = datetime.now(UTC).date()
    if verify:
        if not files:
            raise typer.BadParameter("name the attestations", param_hint="FILE")
        _told([_verified(file, config, today) for file in files], as_json)
        return
    if files:
        raise typer.BadParameter("only --verify takes files; what is written goes to --out", param_hint="FILE")
    if license_id is None or users is None or statement is None or owner is None or out is None:
        raise typer.BadParameter("--license, --users, --statement, --owner and --out, or --verify", param_hint="attest")
    if licensee is None or active_user is None:
        raise typer.BadParameter("--licensee: whose users, --active-user: who was counted", param_hint="attest")
    from guard.cli.policy.unknown import known_license
    from guard.policy.counted import affiliates as affiliates_of
    from guard.policy.counted import products as products_of
    from guard.usage.attestation import Attestation, AttestationError, sign

    settings, packs = _settings(config)
    known_as = settings.operator.name if settings is not None else None
    if known_as not in {None, licensee}:
        raise typer.BadParameter(f"'{licensee}', but operator.name is '{known_as}'", param_hint="--licensee")
    license_ = known_license(license_id, packs, "--license")
    found = _threshold(license_, threshold)
    month = found.reference_month or ""
    if reference_month not in {None, month}:
        raise typer.BadParameter(
            f"{license_id} looks at {month} ({found.clause}), not at {reference_month}", param_hint="--reference-month"
        )
    if out.exists():
        raise typer.BadParameter(f"{out} is there already; a statement is not overwritten", param_hint="--out")
    reading = settings.usage.affiliates.get(license_id) if settings is not None else None
    counted = products_of(found), affiliates_of(found, reading)
    named = products or counted[0], affiliates or counted[1]
    try:
        said = Attestation(
            licensee, license_id, found.id, month, users, at_most, *named, covers_all or named == counted, active_user,
            statement, owner, today.isoformat(), expires,
        )  # fmt: skip
    except AttestationError as error:
        raise typer.BadParameter(str(error)) from None
    signed = sign(said, _key(key))
    try:
        with out.open("x", encoding="utf-8") as file:
            file.write(signed.to_json())
    except OSError as error:
        print(f"{out} cannot be written: {error.strerror}", file=sys.stderr)
        raise typer.Exit(EX_CANTCREAT) from None
    _told([_row(out, signed, None, {license_id: license_}, today, known_as)], as_json)


def _settings(config: Path | None) -> "tuple[Config | None, Mapping[str, License]]":
    """Return the configuration, if one was named or found, and the licenses that are known."""
    from guard.policy.known import known_licenses, own_packs
    from guard.policy.load import load_config
    from guard.policy.locations import configuration

    path = configuration(config)
    return (load_config(path) if path is not None else None), known_licenses(own_packs(path))


def _threshold(license_: "License", id_: str | None) -> "Threshold":
    """Return the threshold that is meant: the one called ``id_``, or the only one that looks at one past month."""
    known = {part.id: part for part in license_.thresholds if part.attested}
    if not known:
        raise typer.BadParameter(
            f"{license_.id} looks at the users of no past month, so there is nothing to attest", param_hint="--license"
        )
    if id_ is None and len(known) == 1:
        return next(iter(known.values()))
    if id_ not in known:
        found = f"{license_.id} has several" if id_ is None else f"{license_.id} has no '{id_}' that looks at one month"
        raise typer.BadParameter(f"{found}; allowed: {', '.join(known)}", param_hint="--threshold")
    return known[id_]


def _key(path: Path) -> "Ed25519PrivateKey":
    from guard.usage.attestor import AttestorError, load_key, make_key, readable_by_others

    code = EX_DATA
    try:
        try:
            found = load_key(path)
        except FileNotFoundError:
            print(
                f"there is no key {path}: a new one is made, which is to be kept and shown to nobody", file=sys.stderr
            )
            code = EX_CANTCREAT
            return make_key(path)
        if readable_by_others(path):
            print(f"warning: others than its owner may read the key {path}; chmod 600 {path}", file=sys.stderr)
        return found
    except AttestorError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(code) from None


def _verified(file: Path, config: Path | None, today: date) -> dict[str, Any]:
    """Return what is to be said of one file."""
    from guard.policy.attestations import attestor_keys
    from guard.policy.reading import read_bounded
    from guard.usage.attestation import MOST_BYTES, AttestationError, ForgedError, Signed

    try:
        signed = Signed.from_json(read_bounded(file, MOST_BYTES))
    except ForgedError as error:
        return {"file": str(file), "ok": False, "problem": str(error)}
    except (AttestationError, OSError) as error:
        problem = f"cannot be read: {error.strerror}" if isinstance(error, OSError) else str(error)
        return {"file": str(file), "ok": False, "problem": problem, "unreadable": True}
    settings, packs = _settings(config)
    keys = attestor_keys(settings) if settings is not None and settings.usage.attestors else None
    return _row(file, signed, keys, packs, today, settings.operator.name if settings is not None else None)


def _row(
    file: Path,
    signed: "Signed",
    keys: Mapping[bytes, str] | None,
    packs: "Mapping[str, License]",
    today: date,
    licensee: str | None,
) -> dict[str, Any]:
    from dataclasses import asdict

    from guard.policy.attestations import misfit

    said = signed.attestation
    problem = misfit(signed, packs, today, licensee)
    signer = keys.get(signed.public_key) if keys is not None else None
    if problem is None and keys is not None and signer is None:
        problem = "signed with the key of nobody in usage.attestors"
    if problem is None:
        part = next(part for part in packs[said.license].thresholds if part.id == said.threshold)
        if said.exceeds(part.allowed):
            problem = f"more than the {part.allowed:,} that {said.license} allows ({part.clause}): it gives no rights"
        elif not said.covers_all:
            problem = (
                f"partial: nothing says that these are all users whom {said.license} counts ({part.scope}; "
                f"{part.counted_entities}), so it shows nothing; if they are, sign it with --covers-all"
            )
        elif not said.shows(part.allowed):
            problem = f"leaves open whether there were more than the {part.allowed:,} that {said.license} allows"
    facts = {"attestation": asdict(said), "key": signed.key, "signer": signer}
    return {"file": str(file), "ok": problem is None, "problem": problem, **facts}


def _told(rows: Sequence[dict[str, Any]], as_json: bool) -> None:
    """Print what was found, and end with 65 for what is no attestation, with 1 for one that does not count."""
    unreadable = any(row.pop("unreadable", False) for row in rows)
    if as_json:
        print(json.dumps({"attestations": rows}, indent=2))
    else:
        print("\n".join(line for row in rows for line in _lines(row)))
    if unreadable:
        raise typer.Exit(EX_DATA)
    if not all(row["ok"] for row in rows):
        raise typer.Exit(NEGATIVE)


def _lines(row: Mapping[str, Any]) -> Iterable[str]:
    yield f"{row['file']}: {'ok' if row['ok'] else row['problem']}"
    said = row.get("attestation")
    if said is None:
        return
    bound = "at most " if said["at_most"] else ""
    scope = "everything that" if said["covers_all"] else "only a part of what"
    yield f"  {said['license']} {said['threshold']}, {said['reference_month']}: {bound}{said['users']:,} users"
    yield f"  of {said['licensee']}: {said['products']}; {said['affiliates']}"
    yield f"  stated to be {scope} the license counts"
    yield f"  an active user: {said['active_user']}"
    until = f", until {said['expires']}" if said["expires"] else ""
    yield f"  {said['statement']} ({said['owner']}, {said['stated']}{until})"
    yield f"  signed with {row['key']}{', ' + row['signer'] if row['signer'] else ''}"
