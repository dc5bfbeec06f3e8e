"""Where the neural tier decides in the learned tier's place, and where it does not."""

from collections.abc import Iterable, Sequence
from itertools import islice

from guard.screening.findings import Action, Finding
from guard.screening.normalize import fold
from guard.screening.segments import Segment

_ENGLISH = frozenset(
    {"the", "of", "and", "for", "you", "how", "with", "that", "what", "make", "my", "can", "it", "are", "this", "if"}
    | {"your", "write", "from", "which", "would", "get", "does", "did", "why", "who", "where", "should", "not", "about"}
    | {"his", "her", "they", "someone", "give", "tell", "to", "is", "be"}
)
_OTHERS = frozenset(
    {"une", "le", "les", "des", "du", "est", "pour", "comment", "que", "qui", "dans", "sur", "avec", "je", "ma", "sans"}
    | {"el", "los", "las", "una", "por", "para", "como", "mi", "de", "del", "y", "en", "puedo", "al", "su"}
    | {"der", "das", "ich", "ein", "eine", "wie", "und", "mit", "ist", "nicht", "kann", "zu", "meine", "den", "man"}
    | {"os", "um", "uma", "com", "nao", "da", "faco", "meu", "minha", "il", "che", "sono", "si", "una", "di"}
)
_MARKS = ".,:;!?\"'()\u00bf\u00a1"
_SHARE = 12
_WORDS = 400


def reads(text: str) -> bool:
    """Return whether ``text`` may be English, which is all that the neural tier knows.

    It may not where hardly one word in twelve is one that English cannot do without, and some are of other languages or
    in another script.
    """
    words = [word.strip(_MARKS) for word in islice(fold(text).split(), _WORDS)]
    if sum(word in _ENGLISH for word in words) * _SHARE >= len(words):
        return True
    return not any(word in _OTHERS or not word.isascii() for word in words)


def divided(findings: Iterable[Finding], segments: Sequence[Segment]) -> tuple[list[Finding], list[Finding]]:
    """Return of the learned tier's findings those that the neural tier decides about, and those that stand."""
    found = list(findings)
    if not found:
        return [], []
    foreign = {segment.path for segment in segments if not reads(segment.text)}
    return [each for each in found if each.path not in foreign], [each for each in found if each.path in foreign]


def acquitted(deferred: Iterable[Finding]) -> list[Finding]:
    """Return what is left of deferred findings that the neural tier does not share: a block becomes a flag."""
    return [finding._replace(most=Action.FLAG) for finding in deferred if finding.most is Action.BLOCK]
