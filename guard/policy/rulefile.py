r"""The form of a rule file.

One file holds the rules of one category, or only lists that other files use::

    category: S9                      # one of guard.screening.categories
    lists:                            # shared word lists; every file of the load may use them as $name
      making: [make, build, synthes*]
    rules:
      - id: S9.nerve-agent-synthesis  # stable; begins with the category
        directions: [prompt, output]  # default: [prompt]
        sources: [user, tool_result]  # default: all but system and tool_definition
        anchors: [nerve agent, $agents]
        requires:                     # every group must occur; one of its literals is enough
          - {any: [$making], within: 60, where: before}   # before, after or near; default near, within 80
        forbids:                      # none may occur
          - {any: [treaty, history of]}
        exceptions:                   # whole phrases that are no match, until they expire
          - {phrase: nerve agent antidote kit, owner: safety@example.org, expires: 2027-06-30}
        score: 0.95                   # risk, default 0.9
        action: block                 # the most that is done about a match: block (default), mask, flag, log, off
        items: [cbrn_statutes, military_nuclear_espionage]  # of acceptable use policies, the most specific first: cited
        note: why the rule is as it is
      - id: S9.order-number
        patterns: ['\bord-\d{8}\b']  # regular expressions, beside anchors or instead of them
        check: luhn                   # of guard.screening.checksums: what a match must pass
        action: mask
        mask: "[order]"               # what a match becomes; default [masked]
        release: scanned              # when streams let text go: scanned (default), window (with window: N), immediate
        tests:
          hits: [about ORD-12345674]
          misses: [about ORD-1234567]

Literals are folded (case, accents, lookalikes, dashes) and match whole words; ``*`` at an end lifts the boundary there.
In a file of an operator's own a rule that says its ``action`` acts by itself: that is done, whatever is done about its
category.
"""

from datetime import date
from typing import Literal as OneOf

from pydantic import BaseModel, ConfigDict, Field

from guard.screening.rules import DEFAULT_SOURCES, MAX_WINDOW, MAX_WITHIN, Release, Where
from guard.screening.segments import Direction, Source


class Strict(BaseModel):
    """Without names that nobody knows."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class Group(Strict):
    """Words of which one must occur, or none may, near a match."""

    any: list[str] = Field(min_length=1)
    within: int = Field(default=80, ge=1, le=MAX_WITHIN)
    where: Where = Where.NEAR


class ExceptionEntry(Strict):
    """A phrase that is no match, until it expires."""

    phrase: str
    owner: str = Field(min_length=1)
    expires: date


class Tests(Strict):
    """Texts in which the rule has to fire, and texts in which it must not."""

    hits: list[str] = Field(default=[], min_length=1)
    misses: list[str] = Field(default=[], min_length=1)


class Entry(Strict):
    """One rule as it is written."""

    id: str
    anchors: list[str] = []
    patterns: list[str] = []
    check: str | None = None
    requires: list[Group] = []
    forbids: list[Group] = []
    exceptions: list[ExceptionEntry] = []
    directions: list[Direction] = Field(default=[Direction.PROMPT], min_length=1)
    sources: list[Source] = Field(default=sorted(DEFAULT_SOURCES), min_length=1)
    score: float = Field(default=0.9, gt=0, le=1)
    action: OneOf["block", "mask", "flag", "log", "off"] = "block"
    mask: str | None = Field(default=None, min_length=1, max_length=80)
    release: Release = Release.SCANNED
    window: int | None = Field(default=None, ge=1, le=MAX_WINDOW)
    items: list[str] = []
    note: str = ""
    tests: Tests | None = None


class RuleFile(Strict):
    """One file."""

    category: str | None = None
    lists: dict[str, list[str]] = {}
    rules: list[Entry] = []
