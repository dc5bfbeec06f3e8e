"""One thing that was looked at."""

from typing import NamedTuple


class Check(NamedTuple):
    """``state`` is ``ok``, ``warn`` or ``fail``; only ``fail`` makes the exit code 1. ``do`` is what helps."""

    name: str
    state: str
    detail: str
    do: str = ""


def ok(name: str, detail: str) -> Check:
    """Return that all is well."""
    return Check(name, "ok", detail)


def warn(name: str, detail: str, do: str) -> Check:
    """Return something worth knowing."""
    return Check(name, "warn", detail, do)


def fail(name: str, detail: str, do: str) -> Check:
    """Return something that keeps Guard from its work, or what it is there for from being true."""
    return Check(name, "fail", detail, do)
