"""``guard export receipt``: the receipt of one answer, to be shown to somebody else."""

import json
import sys
from pathlib import Path

import typer

EX_NONE, EX_DATA = 1, 65


def receipt(
    id_: str = typer.Argument(
        metavar="ID", help="As the header x-guard-receipt or a verdict names it: r-<reference>-<choice>."
    ),
    config: Path | None = typer.Option(None, help="guard.yaml, which names the state directory."),
) -> None:
    """Print a receipt with the proof that it stands in the audit chain and the signature over it, as JSON.

    A declaration of purpose has an id too (d-<reference>). Ends with 1 if there is no such receipt or it is not signed,
    65 where the audit chain is not as it was written.
    """
    from guard.evidence.entry import NotAnEntry
    from guard.evidence.portable import NoReceiptError, find
    from guard.evidence.seal import SealError
    from guard.evidence.signing import PUBLIC, Verifier
    from guard.evidence.verify import NoJournalError
    from guard.policy.load import load_config
    from guard.policy.locations import configuration
    from guard.provenance.layout import Layout
    from guard.provenance.receipt import request_of

    if request_of(id_) is None and not id_.startswith("d-"):
        allowed = "the id of one receipt (r-<reference>-<choice>) or declaration (d-<reference>)"
        first, dots, last = id_.partition("..")
        if dots and last.isdigit() and request_of(first) is not None:  # as the header has it for several choices
            allowed = f"one choice of that range, such as {first}"
        raise typer.BadParameter(f"'{id_}'; allowed: {allowed}", param_hint="ID")
    layout = Layout(Path(load_config(configuration(config)).state_dir))
    known = layout.signing / PUBLIC
    try:
        found = find(layout.audit, id_, Verifier.of_list(known) if known.exists() else Verifier(()))
    except NoReceiptError as error:
        print(error, file=sys.stderr)
        raise typer.Exit(EX_NONE) from None
    except (NoJournalError, SealError, OSError, NotAnEntry) as error:
        what = f"the seal {error}" if isinstance(error, SealError) else error
        print(f"{what}; `guard audit verify` says more", file=sys.stderr)
        raise typer.Exit(EX_DATA) from None
    print(json.dumps(found, ensure_ascii=False, indent=2))
