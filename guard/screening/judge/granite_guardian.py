"""Granite Guardian 3.x: one question per risk, asked through the chat template that comes with the model.

Format, from the model cards (ibm-granite/granite-guardian-3.0-8b to 3.3-8b on Hugging Face):

- 3.0, 3.1: ``Yes`` or ``No``, the risk in ``guardian_config`` as ``risk_name``, or with ``risk_definition`` a risk of
  one's own; the probability of risk is that of ``Yes`` against ``No``;
- 3.2: the same, followed by ``<confidence> High </confidence>`` or ``Low``;
- 3.3: ``<score> yes </score>`` or ``no``, after ``<think> ... </think>`` where thinking was asked for; the risk as
  ``criteria_id``, or as ``custom_criteria``.
"""

import re
from collections.abc import Mapping, Sequence
from typing import Any

from guard.screening.judge.policies import POLICIES
from guard.screening.judge.question import Answer, Conversation, Opinion, Question, Unreadable, chat
from guard.screening.judge.quoting import quoted
from guard.screening.judge.reading import first_word, probability, word_at

TRAINED: Mapping[str, str] = {
    "S1": "violence",
    "S2": "unethical_behavior",
    "S10": "social_bias",
    "S12": "sexual_content",
}
"""Risks that the cards name, by the category of ours that they come closest to. For the others it is told what to look
for in our words, which the cards allow and ask to be tested."""
MOST_TOKENS = 24
_THOUGHT = re.compile(r"<think>.*?</think>", re.DOTALL | re.IGNORECASE)
_SCORE = re.compile(r"<score>\s*([a-z]+)\s*</score>", re.IGNORECASE)
_CONFIDENCE = re.compile(r"<confidence>\s*([a-z]+)\s*</confidence>", re.IGNORECASE)


class GraniteGuardian3:
    """Granite Guardian 3.0 to 3.2: a judge that answers yes or no for one risk."""

    categories = frozenset(POLICIES)
    answers = True

    def ask(self, conversation: Conversation, categories: Sequence[str]) -> list[Question]:
        """Return one question per category."""
        messages = [("user", quoted(conversation.user))]
        if conversation.answer is not None:
            messages.append(("assistant", quoted(conversation.answer)))
        whose = "User" if conversation.answer is None else "Assistant"
        return [chat(messages, (category,), MOST_TOKENS, self._template(category, whose)) for category in categories]

    def _template(self, category: str, whose: str) -> dict[str, Any]:
        if category in TRAINED:
            return {"guardian_config": {"risk_name": TRAINED[category]}}
        definition = f"{whose} message {POLICIES[category]}."
        return {"guardian_config": {"risk_name": category.lower(), "risk_definition": definition}}

    def read(self, question: Question, answer: Answer) -> tuple[Opinion, ...]:
        """Return the risk if the answer is yes. Raises Unreadable."""
        text = _THOUGHT.sub("", answer.text)
        scores = {score.lower() for score in _SCORE.findall(text)}
        if len(scores) > 1 or ("<score>" in text.lower() and not scores):
            raise Unreadable("no single score")
        verdict = scores.pop() if scores else first_word(text)
        if verdict not in {"yes", "no"}:
            raise Unreadable("neither yes nor no")
        if verdict == "no":
            return ()
        confidence = _CONFIDENCE.search(text)
        sure = confidence is None or confidence[1].lower() == "high"
        position = word_at(answer.positions, {"yes", "no"}, last="<score>" in text.lower())
        return (Opinion(question.categories[0], probability(position, {"yes"}, {"no"}), sure),)


class GraniteGuardian33(GraniteGuardian3):
    """Granite Guardian 3.3: risks are called criteria, and thinking is not asked for."""

    def _template(self, category: str, whose: str) -> dict[str, Any]:
        if category in TRAINED:
            return {"guardian_config": {"criteria_id": TRAINED[category]}, "think": False}
        criteria = f"{whose} message {POLICIES[category]}."
        return {"guardian_config": {"custom_criteria": criteria}, "think": False}
