"""``guard export check``: whether a data set holds outputs of a model, and what follows for training on them."""

import json
import re
import sys
import time
from contextlib import ExitStack
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

if TYPE_CHECKING:
    from collections.abc import Iterable

    from guard.evidence.signing import Signer
    from guard.provenance.formats import Source
    from guard.provenance.hits import Dropped, Hits
    from guard.provenance.statement import Digest

EX_USAGE, EX_DATA, EX_CANTCREAT, EX_CONFIG = 64, 65, 73, 78
CODES = {"allow": 0, "allow_with_obligations": 1, "deny": 2, "undetermined": 3}
TENANTS = 20
"""Tenants that a warning names."""
_MONTH = re.compile(r"[0-9]{4}-(0[1-9]|1[0-2])")


def check(
    data: list[Path] = typer.Argument(
        help="The data set: files and folders of JSONL, JSON, CSV, Parquet, also .gz; - for standard input."
    ),
    target: str = typer.Option(help="The model that is to be trained: a repository, a family or a license id."),
    config: Path | None = typer.Option(None, help="guard.yaml, which names state directory and licenses of your own."),
    state: list[Path] = typer.Option(
        [], metavar="DIR", help="A gateway's state directory, instead of the configuration's; once for each gateway."
    ),
    tenant: str | None = typer.Option(
        None, help="Who exports the data: what was said to another tenant is for review, unless it is proven."
    ),
    exclude: list[Path] = typer.Option(
        [], metavar="PATH", help="Texts known to be public, as data sets: no more is found by them than exact copies."
    ),
    since: str | None = typer.Option(None, metavar="YYYY-MM", help="The first month of the index to search."),
    until: str | None = typer.Option(None, metavar="YYYY-MM", help="The last one."),
    format_: str | None = typer.Option(
        None, "--format", help="The format of standard input, or of files whose name does not tell it: jsonl, csv.gz."
    ),
    write_clean: Path | None = typer.Option(
        None, help="Write the data set here without the records held (tiers A, B) that are not plainly allowed."
    ),
    clean_review: bool = typer.Option(
        False, "--clean-review", help="Leave what is for review (tier C) out of the clean copy, too."
    ),
    keep_obligations: bool = typer.Option(
        False, "--keep-obligations", help="Keep what is allowed with obligations in the clean copy."
    ),
    attest: Path | None = typer.Option(None, metavar="FILE", help="Write a signed statement of the result here."),
    hits: Path | None = typer.Option(None, metavar="FILE", help="Write every hit here, as JSON lines."),
    as_json: bool = typer.Option(False, "--json", help="Print JSON, with the 1,000 strictest hits."),
) -> None:
    """Find records that are outputs Guard has seen, and judge their use for training TARGET.

    Ends with 0 if it is allowed, 1 if obligations follow, 2 if it is denied, 3 if it cannot be told; with 65 for a data
    set that cannot be read, 78 for an index or a configuration, 73 for a file that cannot be written.
    """
    import guard
    from guard.cli.export.lines import lines
    from guard.cli.export.meter import bars
    from guard.cli.export.outputs import distinct, passed_over
    from guard.cli.export.searched import searched
    from guard.provenance.exclusion import ExclusionError
    from guard.provenance.formats import DataError, Source, check_target, read
    from guard.provenance.gate import check as search
    from guard.provenance.judge import Use, judge_of, related_by
    from guard.provenance.statement import Asked, attestation, statement, tenants_of

    _usage(target, since, until)
    if write_clean is None and (clean_review or keep_obligations):
        unasked = "--clean-review" if clean_review else "--keep-obligations"
        raise typer.BadParameter("says what a clean copy holds; allowed: with --write-clean", param_hint=unasked)
    with ExitStack() as stack:
        try:
            source = stack.enter_context(Source(data, format=format_, again=write_clean is not None, digest=True))
            public = stack.enter_context(Source(exclude, digest=True)) if exclude else None
            if write_clean is not None:
                check_target(source, write_clean)
            distinct({"--write-clean": write_clean, "--hits": hits, "--attest": attest}, source, public)
            for line in passed_over(source.not_looked_at):
                print(line, file=sys.stderr)
            place = searched(config, state, read(public) if public is not None else (), since, until)
            signer = _signer(place.signing) if attest is not None else None
            use = Use(judge_of(target, place.licenses), related_by(place.licenses), tenant)
            with bars(source.total) as told:
                result = search(read(source, told.read), place.indexes, use, told.searched)
        except DataError as error:
            _leave(EX_DATA, str(error))
        except ExclusionError as error:
            raise typer.BadParameter(str(error), param_hint="--exclude") from None
        except ValueError as error:
            raise typer.BadParameter(str(error)) from None
        except OSError as error:
            _leave(EX_CONFIG, _said(error))
        now = time.time()
        excluded = _digests(public) if public is not None else []
        asked = Asked(target, guard.__version__, place.packs, _digests(source), since, until, tenant, excluded,
                      source.not_looked_at)  # fmt: skip
        document = statement(result, asked, now)
        if write_clean is not None:
            dropped = result.hits.dropped(review=clean_review, obliged=not keep_obligations)
            document["clean"] = {
                **_write_clean(source, write_clean, dropped),
                "for_review": 0 if clean_review else result.hits.for_review,
            }
        if hits is not None:
            _write_hits(hits, result.hits)
        if attest is not None and signer is not None:
            _write_attest(attest, attestation(result, asked, now), signer)
    if tenant is not None and not document["tenant_seen"]:
        _warn_of(tenant, tenants_of(result))
    # A clean copy on standard output stands there alone.
    out = sys.stderr if str(write_clean) == "-" else sys.stdout
    print(json.dumps(document) if as_json else "\n".join(lines(result, document)), file=out)
    raise typer.Exit(CODES[str(result.verdict)])


def _usage(target: str, since: str | None, until: str | None) -> None:
    if not target.strip():
        allowed = "a repository, a family or a license id"
        raise typer.BadParameter(f"names no model; allowed: {allowed}", param_hint="--target")
    for option, month in (("--since", since), ("--until", until)):
        if month is not None and not _MONTH.fullmatch(month):
            raise typer.BadParameter(f"'{month}'; allowed: a year and a month such as 2026-11", param_hint=option)
    if since and until and since > until:
        raise typer.BadParameter(f"{since} is after {until}; allowed: that month or one before", param_hint="--since")


def _warn_of(tenant: str, seen: set[str]) -> None:
    """Say that nothing was answered to ``tenant``: a name that is not the right one makes every hit one for review."""
    named = ", ".join(sorted(seen)[:TENANTS]) + f" and {len(seen) - TENANTS} more" * (len(seen) > TENANTS)
    print(f"--tenant {tenant}: no answer in the index is theirs; there are answers to: {named or 'no tenant'}",
          file=sys.stderr)  # fmt: skip


def _digests(source: "Source") -> "list[Digest]":
    from guard.provenance.statement import Digest

    return [Digest(file.name, file.sha256 or "") for file in source.reads]


def _signer(directory: Path) -> "Signer":
    from guard.evidence.signing import Signer, SigningError

    try:
        return Signer(directory)
    except SigningError as error:
        _leave(EX_CONFIG, str(error))


def _write_clean(source: "Source", target: Path, dropped: "Dropped") -> dict[str, Any]:
    from guard.provenance.formats import DataError, copy_without

    try:
        kept = copy_without(source, target, dropped)
    except DataError as error:
        _leave(EX_DATA, str(error))
    except OSError as error:
        _leave(EX_CANTCREAT, _said(error))
    return {"file": str(target), "records": kept, "left_out": len(dropped)}


def _write_hits(target: Path, hits: "Hits") -> None:
    from guard.provenance.statement import hit_facts

    _write(target, (json.dumps(hit_facts(hit)).encode() + b"\n" for hit in hits))


def _write_attest(target: Path, document: dict[str, Any], signer: "Signer") -> None:
    from guard.evidence.envelope import sign
    from guard.evidence.signing import SigningError

    try:
        signed = sign(document, signer)
    except SigningError as error:
        _leave(EX_CONFIG, str(error))
    _write(target, [json.dumps(signed, ensure_ascii=False, indent=2).encode() + b"\n"])


def _write(target: Path, parts: "Iterable[bytes]") -> None:
    from guard.cli.usage.output import whole_file

    try:
        with whole_file(target) as file:
            file.writelines(parts)
    except OSError as error:
        _leave(EX_CANTCREAT, _said(error))


def _said(error: OSError) -> str:
    """Return which file an error is about, and what is wrong with it."""
    return f"{error.filename}: {error.strerror}" if error.filename and error.strerror else str(error)


def _leave(code: int, why: str) -> NoReturn:
    print(why, file=sys.stderr)
    raise typer.Exit(code)
