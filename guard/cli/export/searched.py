"""What a check searches, and what it judges by: the indexes of gateways, and the licenses of a configuration."""

import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple, NoReturn

import typer

if TYPE_CHECKING:
    from guard.licensing.license import License
    from guard.provenance.gate import Indexed
    from guard.provenance.record import Record

EX_CONFIG = 78


class Searched(NamedTuple):
    """Where outputs are looked for, and the licenses they are judged by."""

    indexes: "list[Indexed]"
    licenses: "Mapping[str, License]"
    packs: Mapping[str, str]
    """SHA-256 of the packs, by id."""
    signing: Path
    """The directory of the key that signs a statement on it."""


def searched(
    config: Path | None, states: Sequence[Path], public: "Iterable[Record]", since: str | None, until: str | None
) -> Searched:
    """Return what ``config`` and the state directories say; the texts of ``public`` tell nothing of an output.

    Only the months from ``since`` to ``until`` will be searched. Leaves with 78 for a state directory without a key;
    raises PolicyError for a configuration that is not sound, ExclusionError for too many public texts, and whatever
    ``public`` raises.
    """
    from guard.policy.load import load_config
    from guard.policy.locations import configuration, shipped_licenses
    from guard.policy.packs import load_packs, pack_digests, shipped_packs
    from guard.provenance.coverage import Index
    from guard.provenance.exclusion import excluded_by
    from guard.provenance.fingerprint import Fingerprinter
    from guard.provenance.gate import Indexed
    from guard.provenance.layout import Layout
    from guard.provenance.marks import Key
    from guard.provenance.months import MonthKeys

    file = configuration(config)
    settings = load_config(file) if file is not None or not states else None
    own = [Path(name) for name in settings.policies] if settings is not None else []
    layouts = [Layout(state) for state in states] or ([Layout(Path(settings.state_dir))] if settings else [])
    secrets = [_secret(layout.key) for layout in layouts]
    masters = list(dict.fromkeys(secrets))
    excluded = excluded_by(public, [Fingerprinter(master) for master in masters])
    keys = {master: Key(master, without) for master, without in zip(masters, excluded, strict=True)}
    indexes = [
        Indexed(Index(layout.provenance, MonthKeys(layout.keys), secret, since, until), keys[secret])
        for layout, secret in zip(layouts, secrets, strict=True)
    ]
    packs = [shipped_licenses(), *own]
    return Searched(indexes, load_packs(packs) if own else shipped_packs(), pack_digests(packs), layouts[0].signing)


def _secret(file: Path) -> bytes:
    from guard.provenance.receipt import Receipts

    try:
        secret = file.read_bytes()
        Receipts(secret)
    except OSError as error:
        allowed = "the key file of a state directory in which outputs were recorded"
        _leave(f"{file.absolute()}: {error.strerror}; allowed: {allowed}")
    except ValueError as error:
        _leave(f"{file.absolute()}: {error}")
    return secret


def _leave(why: str) -> NoReturn:
    print(why, file=sys.stderr)
    raise typer.Exit(EX_CONFIG)
