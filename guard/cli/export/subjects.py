"""What a verified statement says: its verdict, the files that it is on, and whether given files are among them."""

import hashlib
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, NamedTuple


class Subject(NamedTuple):
    """A file that a statement is on."""

    name: str
    sha256: str
    """In hexadecimal."""


class Compared(NamedTuple):
    """A file beside a statement."""

    file: str
    sha256: str
    subject: str | None
    """The name under which the statement is on this very content; None if it is not."""


class Said(NamedTuple):
    """What the statement of an export check says in short."""

    verdict: str
    target: str
    checked: str
    complete: bool
    """True if coverage had no gap."""
    subjects: tuple[Subject, ...]
    excluded: tuple[Subject, ...]
    """The files of which no more than exact copies was found."""

    def compare(self, files: Sequence[Path]) -> list[Compared]:
        """Return for each of ``files`` whether the statement is on its content, whatever its name. Raises OSError."""
        names = {subject.sha256: subject.name for subject in reversed(self.subjects)}
        compared = []
        for path in files:
            with path.open("rb") as file:
                digest = hashlib.file_digest(file, "sha256").hexdigest()
            compared.append(Compared(str(path), digest, names.get(digest)))
        return compared


def said(statement: Mapping[str, Any]) -> Said | None:
    """Return what ``statement``, whose signature holds, says; None if it is not one of an export check."""
    from guard.provenance.statement import PREDICATE

    if statement.get("predicateType") != PREDICATE:
        return None
    facts = statement["predicate"]
    subjects = tuple(Subject(each["name"], each["digest"]["sha256"]) for each in statement["subject"])
    excluded = tuple(Subject(**each) for each in facts["excluded"]["files"])
    return Said(facts["verdict"], facts["target"], facts["checked"], facts["coverage"]["complete"], subjects, excluded)
