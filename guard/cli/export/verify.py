"""``guard export verify``: whether a receipt or a statement is as it was signed, and by whom."""

import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import typer

if TYPE_CHECKING:
    from collections.abc import Iterator

    from guard.cli.export.subjects import Compared, Said
    from guard.evidence.signing import Verifier

EX_INVALID, EX_DATA, EX_KEYLESS = 1, 65, 78


def verify(
    file: Path = typer.Argument(metavar="FILE", help="A receipt, or an attested statement; - for standard input."),
    key: str | None = typer.Option(None, metavar="PUB", help="The signer's public key: a PEM file, or base64."),
    keys: Path | None = typer.Option(None, help="A list of public keys: keys.json of the signer's state directory."),
    config: Path | None = typer.Option(None, help="guard.yaml of the signer, where that is this machine."),
    data: list[Path] = typer.Option(
        [], metavar="FILE", help="A file of the data set: is the statement on this very content? Once for each file."
    ),
    as_json: bool = typer.Option(False, "--json", help="Print JSON."),
) -> None:
    """Verify a receipt (`guard export receipt`) or a statement (`guard export check --attest`) by the signer's keys.

    Ends with 0 if it is as it was signed by one of them, whatever its verdict; 1 if it is not, or is signed by another
    key, even if that comes with it, or is not on a file of --data; 65 for a file that is neither or cannot be read, 78
    without a key to verify it by.
    """
    from guard.cli.export.subjects import said
    from guard.evidence import envelope, portable
    from guard.evidence.envelope import EnvelopeError, Standing
    from guard.evidence.signing import SigningError

    if key is not None and keys is not None:
        raise typer.BadParameter("give one of --key and --keys", param_hint="--keys")
    try:
        trusted = _trusted(key, keys, config)
    except SigningError as error:
        print(f"{error}; name the signer's key with --key or --keys", file=sys.stderr)
        raise typer.Exit(EX_KEYLESS) from None
    document = _read(file)
    try:
        if "statement" in document:
            standing = envelope.verify(document, trusted)
            kind, what, signer = "statement", "the statement", document["signature"]["key"]
        else:
            standing = portable.verify(document, trusted)
            kind, what, signer = document["kind"], document["facts"]["id"], document["key"]
    except EnvelopeError as error:
        _leave(file, f"no receipt and no signed statement: {error}")
    valid = standing is Standing.VALID
    content = said(document["statement"]) if valid and kind == "statement" else None
    if data and valid and content is None:
        _leave(file, "says nothing of any file; allowed with --data: a statement of guard export check --attest")
    compared = _compared(content, data) if content is not None else []
    if as_json:
        late = {"late": document["late"]} if kind != "statement" else {}
        more = {**content._asdict(), "subjects": [each._asdict() for each in content.subjects],
                "excluded": [each._asdict() for each in content.excluded],
                "data": [each._asdict() for each in compared]} if content is not None else {}  # fmt: skip
        print(json.dumps({"valid": valid, "kind": kind, "key": signer, "finding": standing.value, **late, **more}))
    else:
        print(f"{'valid' if valid else 'NOT VALID'}: {_shown(what)}: {standing.value} ({_shown(signer)})")
        if valid and document.get("late"):
            print("signed only when the gateway ran again after it had been killed")
        if content is not None:
            print("\n".join(_lines(content, compared)))
    raise typer.Exit(0 if valid and all(each.subject is not None for each in compared) else EX_INVALID)


def _compared(content: "Said", data: list[Path]) -> "list[Compared]":
    try:
        return content.compare(data)
    except OSError as error:
        _leave(Path(error.filename), error.strerror or str(error))


def _lines(content: "Said", compared: "list[Compared]") -> "Iterator[str]":
    coverage = "a complete index" if content.complete else "an index with gaps"
    yield f"verdict: {_shown(content.verdict)}, for training {_shown(content.target)}"
    yield f"checked: {_shown(content.checked)}, over {coverage}"
    given = {each.sha256 for each in compared}
    for subject in content.subjects:
        left = "  (not among --data)" if compared and subject.sha256 not in given else ""
        yield f"subject: {_shown(subject.sha256)}  {_shown(subject.name)}{left}"
    for file in content.excluded:
        yield f"excluded as public: {_shown(file.sha256)}  {_shown(file.name)}"
    for each in compared:
        found = f"the content of {_shown(each.subject)}" if each.subject is not None else "NOT A SUBJECT"
        yield f"data: {_shown(each.file)}: {found}"


def _trusted(key: str | None, keys: Path | None, config: Path | None) -> "Verifier":
    """Return the keys to go by. Raises SigningError where there are none."""
    from guard.evidence.signing import PUBLIC, SigningError, Verifier
    from guard.policy.load import load_config
    from guard.policy.locations import configuration
    from guard.provenance.layout import Layout

    if key is not None:
        path = Path(key)
        try:
            return Verifier.of_key(path.read_text(encoding="utf-8") if path.is_file() else key)
        except (OSError, UnicodeDecodeError, SigningError) as error:
            raise SigningError(f"{key}: {error}") from None
    found = configuration(config) if keys is None else None
    if keys is None and found is None:
        raise SigningError("there is no key to verify it by")
    return Verifier.of_list(keys or Layout(Path(load_config(found).state_dir)).signing / PUBLIC)


def _read(file: Path) -> dict[str, Any]:
    """Return the JSON object in ``file``; leaves with 65 where there is none."""
    try:
        content = sys.stdin.buffer.read() if str(file) == "-" else file.read_bytes()
        document = json.loads(content, object_pairs_hook=_each_once)
    except OSError as error:
        _leave(file, error.strerror or str(error))
    except (ValueError, RecursionError) as error:
        _leave(file, str(error) if isinstance(error, _TwiceError) else "not JSON")
    if not isinstance(document, dict):
        _leave(file, "not a JSON object")
    return document


class _TwiceError(ValueError):
    """A name that readers could take for one value or the other."""


def _each_once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) < len(pairs):
        raise _TwiceError("a name is there twice; allowed: each once")
    return found


def _shown(text: str) -> str:
    """Return text of a file that may be anybody's, as it may be printed."""
    return text if text.isprintable() else ascii(text)


def _leave(file: Path, why: str) -> NoReturn:
    print(f"{file}: {why}", file=sys.stderr)
    raise typer.Exit(EX_DATA)
