"""Where a problem of a case belongs in the case file: a name one level off, a setting that the policy refuses."""

import re
from collections.abc import Mapping
from dataclasses import replace

from pydantic import BaseModel

from guard.policy.document import Document, Location, Problem, show
from guard.policy.rehearsal.case import Case, CaseFile, ExpectPart, IdentityPart, RequestPart

PARTS: Mapping[str, type[BaseModel]] = {"identity": IdentityPart, "request": RequestPart, "expect": ExpectPart}
"""The parts of a case, in the order in which a name is looked for in them."""
_IN_A_CASE = re.compile(r"cases\[\d+\](?:\.(?P<part>\w+))?\.(?P<name>\w+)")
NOWHERE = frozenset({"defaults", "command line"})
"""What problems name as their file that stand in none."""


def told(problem: Problem) -> Problem:
    """Return ``problem`` of a case file's form; of a name that is known elsewhere it says where it belongs."""
    found = _IN_A_CASE.fullmatch(problem.path)
    if found is None or problem.found != "unknown name":
        return problem
    part, name = found["part"], found["name"]
    if name in CaseFile.model_fields and name not in Case.model_fields:
        return replace(problem, allowed=f"{name} at the top of the file, beside cases", nearest=None)
    if part is not None and name in Case.model_fields:
        return replace(problem, allowed=f"{name} of the case itself, beside {part}", nearest=None)
    owner = next((owner for owner, model in PARTS.items() if name in model.model_fields and owner != part), None)
    return problem if owner is None else replace(problem, nearest=f"{owner}.{name}")


def placed(problem: Problem, document: Document, index: int) -> Problem:
    """Return a problem of the policy that case ``index`` is tried under as one of the case file ``document``.

    What stands in a file of its own, such as a pack, stays there. Of what the case did not set, the model's license is
    the file's own, and anything else is said of the case.
    """
    if problem.file not in NOWHERE:
        return problem
    settings: Location = ("cases", index, "settings")
    at = {show(location[3:]): location for location in document.lines if location[:3] == settings}
    path = problem.path
    while path and path not in at:  # what is missing is told of where it is missing from
        path = path.rpartition(".")[0]
    if path:
        line = document.line(at[path])
        return replace(problem, file=document.file, line=line, path=f"{show(settings)}.{problem.path}")
    owner: Location = ("license",) if problem.path.startswith("models") else ("cases", index)
    found = problem.found if owner == ("license",) or not problem.path else f"{problem.path}: {problem.found}"
    return replace(problem, file=document.file, line=document.line(owner), path=show(owner), found=found)
