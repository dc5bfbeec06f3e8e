"""What is owed for serving models, for a terminal: what to display, name, attach, tell, pass on, report and keep to."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from textwrap import wrap
from typing import TYPE_CHECKING, Any

import typer

if TYPE_CHECKING:
    from guard.licensing.license import License

WIDTH, EX_CONFIG = 100, 78


def configured(config: Path | None) -> list[dict[str, Any]]:
    """Return the obligations of every model of the configuration, as ``/api/v1/obligations`` does.

    Exits with 78 and the problems if the configuration cannot be used, and with 64 if there is none.
    """
    from guard.policy.document import PolicyError
    from guard.policy.load import load
    from guard.policy.locations import configuration
    from guard.transports.readings import obligation_facts

    path = configuration(config)
    if path is None:
        raise typer.BadParameter("no guard.yaml here; name one with --config, or a license", param_hint="--config")
    try:
        return obligation_facts(load(path).snapshot)
    except PolicyError as error:
        typer.echo(str(error), err=True)
        raise typer.Exit(EX_CONFIG) from None


def of_license(license_: "License") -> list[dict[str, Any]]:
    """Return what is owed by whoever serves, distributes or learns from a model under ``license_``."""
    from guard.licensing.obligations import all_obligations

    return [
        item._asdict()
        | {"act": item.act, "status": item.status.value, "models": [license_.id], "stated": None, "carried": []}
        for item in all_obligations([license_])
    ]


def by_model(owed: Sequence[dict[str, Any]]) -> Iterator[str]:
    """Yield the obligations as lines: by model, and by what is to be done."""
    from guard.licensing.obligations import ACTS

    for model in dict.fromkeys(name for item in owed for name in item["models"]):
        yield model
        mine = [item for item in owed if model in item["models"]]
        for act in ACTS:
            items = [item for item in mine if item["act"] == act]
            if items:
                yield f"  {act.capitalize()}"
            for item in items:
                yield from wrap(_line(item), WIDTH, initial_indent="    - ", subsequent_indent="      ")
        yield ""
    if not owed:
        yield "Nothing is owed."


def _line(item: dict[str, Any]) -> str:
    text = str(item["text"]).rstrip(".")
    if item["places"]:
        text += f" (any one of: {', '.join(place.replace('_', ' ') for place in item['places'])})"
    text += f"; {'' if item['kind'] == 'aup_duty' else 'when: '}{item['trigger']}"
    if "serving" not in item["owed_for"]:
        text += f"; for {' and '.join(item['owed_for'])}, not for serving alone"
    text += f" [{item['license']} {item['clause']}]"
    if item["status"] == "unconfirmed":
        text += " UNCONFIRMED"
    if item["stated"]:
        text += f"; STATED: {item['stated']}"
    if item["carried"]:
        text += f"; Guard sends it in the {' and '.join(item['carried'])} of every answer"
    return text
