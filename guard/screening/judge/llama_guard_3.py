"""Llama Guard 3 (1B, 8B): one question about all hazards, asked through the chat template that comes with the model.

Format, from the model card (meta-llama/PurpleLlama, Llama-Guard3/8B/MODEL_CARD.md; the codes are those of MLCommons):
the first line is ``safe`` or ``unsafe``; if unsafe, the second is a comma-separated list of the violated categories,
``S1`` to ``S14``. The classifier's score is the probability of the first token (same card). Judged is the last turn.
"""

import re
from collections.abc import Sequence

from guard.screening.judge.question import Answer, Conversation, Opinion, Question, Unreadable, chat
from guard.screening.judge.quoting import quoted
from guard.screening.judge.reading import first_of, first_word, probability

CODES = frozenset(f"S{number}" for number in range(1, 15))
"""They are ours, too: the hazards of MLCommons."""
MOST_TOKENS = 80
"""All fourteen codes take fewer."""
_CODE = re.compile(r"\bS ?(\d{1,3})\b", re.IGNORECASE)
_LIST = re.compile(r"S ?\d{1,3}\b", re.IGNORECASE)


class LlamaGuard3:
    """A judge that reads the whole list of hazards in one call and names those it finds."""

    categories = CODES
    answers = True

    def ask(self, conversation: Conversation, categories: Sequence[str]) -> list[Question]:
        """Return one question; the model's own template lists every hazard, and ``read`` keeps ``categories``."""
        messages = [("user", quoted(conversation.user))]
        if conversation.answer is not None:
            messages.append(("assistant", quoted(conversation.answer)))
        return [chat(messages, categories, MOST_TOKENS, {})]

    def read(self, question: Question, answer: Answer) -> tuple[Opinion, ...]:
        """Return the violated categories among those asked about. Raises Unreadable."""
        codes = violated(answer)
        score = probability(first_of(answer.positions), {"unsafe"}, {"safe"}) if codes else None
        return tuple(Opinion(code, score) for code in question.categories if code in codes)


def violated(answer: Answer) -> frozenset[str]:
    """Return the codes in a Llama Guard's answer; none if it is ``safe``. Raises Unreadable.

    Unreadable are a first line that is neither word, ``safe`` with codes, ``unsafe`` without one, a code that there is
    not, and a list that was cut off.
    """
    lines = [line.strip() for line in answer.text.splitlines() if line.strip()]
    verdict = first_word(lines[0]) if lines else ""
    if verdict not in {"safe", "unsafe"}:
        raise Unreadable("neither safe nor unsafe")
    rest = re.sub(rf"^\W*{verdict}\W*", "", lines[0], count=1, flags=re.IGNORECASE)
    listed = rest or (lines[1] if len(lines) > 1 else "")
    if verdict == "safe":
        if rest or _LIST.match(listed):
            raise Unreadable("safe, and more")
        return frozenset()
    found = [f"S{int(digits)}" for digits in _CODE.findall(listed)] if _LIST.match(listed) else []
    if not found or not CODES.issuperset(found):
        raise Unreadable("unsafe without a known category")
    if answer.cut and len(lines) <= (1 if rest else 2):
        raise Unreadable("the list of categories was cut off")
    return frozenset(found)
