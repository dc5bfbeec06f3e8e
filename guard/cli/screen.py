"""``guard screen``: verdicts on JSON lines of text."""

import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path
from time import monotonic
from typing import IO, TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from guard.cli.screening.tiers import NeuralTier, Tiers
    from guard.cli.screening.verdict import Rulings
    from guard.exchange.snapshot import ModelPolicy, Snapshot
    from guard.policy.load import Loaded

EX_DATA, EX_CONFIG = 65, 78
PATIENCE = 0.1
"""Seconds that a printed line waits for the next ones, while there are more to be read."""


class Scope(StrEnum):
    """Prompts that the neural tier is asked about; as ``screening.neural.scope``."""

    AUTO = "auto"
    OFF = "off"
    BAND = "band"
    ALL = "all"


class Switch(StrEnum):
    """On or off."""

    ON = "on"
    OFF = "off"


def screen(
    license_id: str | None = typer.Option(
        None, "--license", metavar="ID", help="Take actions and clauses from this license; default: from the rules."
    ),
    config: Path | None = typer.Option(
        None, help="Screen as a gateway with this guard.yaml does: its rules, tiers and settings. Only if it is given."
    ),
    model: str | None = typer.Option(None, help="With --config: served name of the model, where there are several."),
    rules: list[Path] | None = typer.Option(None, metavar="FILE", help="Rule file or directory, beside the others."),
    learned: Switch | None = typer.Option(None, help="Whether the learned tier reads. Default: on."),
    neural: Scope | None = typer.Option(
        None, help="Prompts that the neural tier reads. Default: those in doubt, where it is installed."
    ),
    explain: bool = typer.Option(False, "--explain", help="Print why in words instead; shows parts of the text."),
) -> None:
    """Read JSON lines {"text", "role"} on standard input and print one JSON line of verdict for each, in order.

    The role is prompt (default), user or system, which are read as prompts, or assistant or response, which are read as
    answers. "score" is the risk in 0..1 that the text is unsafe; making training data (D1) is not part of it. A line
    that is no such object ends the command with 65.
    """
    from guard.cli.screening.tiers import Tiers
    from guard.cli.screening.verdict import Rulings

    if license_id is not None and config is not None:
        raise typer.BadParameter("allowed: --license or --config", param_hint="--config")
    loaded = _loaded(license_id, config, rules or [], learned, neural)
    policy = None if license_id is None and config is None else _served(loaded.snapshot, model)
    neural_tier = _neural(loaded)
    tiers, rulings = Tiers(loaded.snapshot, neural_tier), Rulings(loaded.snapshot, policy)
    answer = _explained(loaded.snapshot, tiers, rulings, neural_tier) if explain else _encoded(tiers, rulings)
    with _progress() as advance:
        _stream(sys.stdin.buffer, sys.stdout.buffer, answer, advance)


def _loaded(
    license_id: str | None, config: Path | None, rules: list[Path], learned: Switch | None, neural: Scope | None
) -> "Loaded":
    """Return the policy that is screened under; without a license and a configuration one that rules on nothing."""
    from guard.cli.policy.unknown import known_license
    from guard.policy.load import load, load_config
    from guard.policy.packs import shipped_packs
    from guard.policy.rehearsal.cases import SERVED
    from guard.policy.rehearsal.hypothetical import Caller, settings_for

    settings: dict[str, object] = {}
    if license_id is not None:
        known_license(license_id, shipped_packs(), "--license")
        settings |= settings_for([license_id], SERVED, Caller())
    elif config is None:
        settings["unknown_models"] = "undetermined"
    if rules:
        own = map(Path, load_config(config).screening.rules) if config is not None else ()
        settings["screening.rules"] = [str(file.absolute()) for file in (*own, *rules)]
    if learned is not None:
        off = learned is Switch.OFF
        settings |= {f"screening.learned.{side}": "off" for side in ("prompts", "outputs")} if off else {}
    if neural is not None:
        settings["screening.neural.scope"] = str(neural)
    loaded = load(config, settings)
    for caution in loaded.cautions:
        if caution.path.startswith("rules["):
            print(f"warning: {caution.note}", file=sys.stderr)
    return loaded


def _served(snapshot: "Snapshot", model: str | None) -> "ModelPolicy":
    """Return the policy of the model that is meant: the named one, or the only one there is."""
    found = snapshot.serving(model)
    if model is None and found is None and len(snapshot.models) == 1:
        [found] = snapshot.models.values()
    if found is None:
        names = ", ".join(snapshot.models)
        said = "several models are served" if model is None else f"unknown model '{model}'"
        raise typer.BadParameter(f"{said}; allowed: {names}", param_hint="--model")
    return found


def _neural(loaded: "Loaded") -> "NeuralTier | None":
    """Return the neural tier, loaded, if anything is asked of it."""
    if loaded.snapshot.neural is None:
        return None
    from guard.cli.screening.tiers import NeuralTier
    from guard.screening.learned.learned import default
    from guard.screening.neural.model import NeuralUnavailable
    from guard.screening.neural.model import loaded as loaded_model

    try:
        return NeuralTier(loaded_model(loaded.config.screening.neural.folder), default().logits)
    except NeuralUnavailable as error:
        print(f"guard screen: the neural tier cannot be used: {error}", file=sys.stderr)
        raise typer.Exit(EX_CONFIG) from None


def _encoded(tiers: "Tiers", rulings: "Rulings") -> Callable[[int, bytes], bytes]:
    """Return what turns a line's number and bytes into a printed verdict."""
    import msgspec

    from guard.cli.screening.lines import read

    encode = msgspec.json.Encoder().encode

    def answer(_number: int, raw: bytes) -> bytes:
        line = read(raw)
        return encode(rulings.verdict(tiers.read(line.text, line.source))) + b"\n"

    return answer


def _explained(
    snapshot: "Snapshot", tiers: "Tiers", rulings: "Rulings", neural: "NeuralTier | None"
) -> Callable[[int, bytes], bytes]:
    """Return what turns a line's number and bytes into a printed block of words."""
    from guard.cli.screening.explanation import Explanation
    from guard.cli.screening.lines import read
    from guard.screening.learned.weights import shipped

    levels = None if neural is None else neural.unsafe_levels
    explanation = Explanation(snapshot.rules.rules, rulings, shipped(), levels)

    def answer(number: int, raw: bytes) -> bytes:
        line = read(raw)
        reading = tiers.read(line.text, line.source)
        lines = explanation.lines(f"<stdin>:{number}", line, reading, rulings.verdict(reading))
        return ("\n".join(lines) + "\n").encode()

    return answer


def _stream(
    lines: IO[bytes], out: IO[bytes], answer: Callable[[int, bytes], bytes], advance: Callable[[], Any]
) -> None:
    """Answer line after line. What is answered leaves before the next read, and sooner if that takes long."""
    from guard.cli.screening.lines import BadLine, batches

    answered: list[bytes] = []
    number, due = 0, monotonic() + PATIENCE

    def flush() -> None:
        out.write(b"".join(answered))
        out.flush()
        answered.clear()

    for batch in batches(lines):
        for raw in batch:
            number += 1
            if not raw or raw.isspace():
                continue
            try:
                answered.append(answer(number, raw))
            except BadLine as error:
                flush()
                print(f"<stdin>:{number}: {error}", file=sys.stderr)
                raise typer.Exit(EX_DATA) from None
            advance()
            if monotonic() > due:
                flush()
                due = monotonic() + PATIENCE
        flush()


@contextmanager
def _progress() -> "Iterator[Callable[[], Any]]":
    if not sys.stderr.isatty() or sys.stdout.isatty():
        yield lambda: None
        return
    from rich.console import Console
    from rich.progress import MofNCompleteColumn, Progress, TextColumn

    with Progress(
        TextColumn("screening"), MofNCompleteColumn(), console=Console(stderr=True), transient=True
    ) as progress:
        task = progress.add_task("screening", total=None)
        yield lambda: progress.advance(task)
