"""A policy's problem as chain and report keep it: file, line, setting and kind, and nothing of what was written there.

What somebody wrote into a configuration by mistake may be a password, and a path names its owner.
"""

import re

_TEXT = re.compile(
    r"(?P<file>(?:[A-Za-z]:)?[^:]+?)(?::(?P<line>\d+))?: (?P<path>[^:\s'\"]+)(?:: (?P<found>.*))?", re.DOTALL
)
_QUOTED = re.compile(r"'[^']*'|\"[^\"]*\"")
KINDS = (
    "unknown name", "unknown license", "unknown", "missing", "there twice", "cannot be read", "cannot be loaded",
    "not YAML", "a dangerous change",
)  # fmt: skip
"""What is said of a problem, where its text says it; of any other, that it is not allowed."""
OTHER = "not allowed"
NOWHERE = "a problem whose place is not on record"


def stated(file: str, line: int | None, path: str, found: str) -> str:
    """Return a problem without a value: ``guard.yaml:3: operator.domicile: not allowed``."""
    plain = _QUOTED.sub("", found.partition("; allowed:")[0])
    kind = next((each for each in KINDS if each in plain), OTHER)
    name = re.split(r"[/\\]", file)[-1]
    return f"{name}:{line}: {path}: {kind}" if line else f"{name}: {path}: {kind}"


def shown(text: str) -> str:
    """Return what a report has of a problem that is in the chain as ``text``: earlier releases kept all of it there."""
    read = _TEXT.fullmatch(text)
    if read is None:
        return NOWHERE
    return stated(read["file"], int(read["line"] or 0), read["path"], read["found"] or "")
