"""Any instructed model, asked a yes/no question of the operator's own for one category.

Format: the first word of the answer is one that means unsafe or one that means safe, in any case, quotes or emphasis;
anything else is no answer. The judged text stands in the question as a JSON string (RFC 8259, section 7) with ``<`` and
``>`` escaped: no quote, line break or tag in it ends its place, whatever the question puts around it.
"""

import json
import re
from collections.abc import Mapping, Sequence

from guard.screening.judge.question import Answer, Conversation, Opinion, Question, Unreadable, chat
from guard.screening.judge.quoting import quoted
from guard.screening.judge.reading import first_word, probability, word_at

MOST_TOKENS = 8
TEXT, ANSWER = "{text}", "{answer}"
"""Where in a question the user's text and the model's answer stand."""
_MARKS = re.compile(r"(\{text\}|\{answer\})")


class YesNo:
    """A judge that answers ``question`` about prompts, and ``answer_question`` about answers, where there is one.

    Raises ValueError for a question that does not have ``{text}`` once, or for answers ``{answer}`` once and ``{text}``
    at most once; for words that mean both, and for words that are more than one.
    """

    def __init__(
        self, category: str, question: str, answer_question: str | None, unsafe: Sequence[str], safe: Sequence[str]
    ) -> None:
        if question.count(TEXT) != 1 or ANSWER in question:
            raise ValueError(f"a question with {TEXT} in it, once")
        if answer_question is not None and (answer_question.count(ANSWER) != 1 or answer_question.count(TEXT) > 1):
            raise ValueError(f"a question with {ANSWER} in it, once, and {TEXT} at most once")
        self._unsafe, self._safe = (frozenset(word.casefold() for word in words) for words in (unsafe, safe))
        if not self._unsafe or not self._safe or self._unsafe & self._safe:
            raise ValueError("words that mean unsafe and others that mean safe")
        if any(first_word(word) != word for word in self._unsafe | self._safe):
            raise ValueError("single words")
        self.categories = frozenset({category})
        self.answers = answer_question is not None
        self._question, self._answer_question = question, answer_question

    def ask(self, conversation: Conversation, categories: Sequence[str]) -> list[Question]:
        """Return the question. Raises ValueError for an answer that there is no question about."""
        if not categories:
            return []
        if conversation.answer is None:
            text = _filled(self._question, {TEXT: conversation.user})
        elif self._answer_question is not None:
            text = _filled(self._answer_question, {TEXT: conversation.user, ANSWER: conversation.answer})
        else:
            raise ValueError("no question about answers")
        return [chat([("user", text)], categories, MOST_TOKENS, {})]

    def read(self, question: Question, answer: Answer) -> tuple[Opinion, ...]:
        """Return the category if the answer means unsafe. Raises Unreadable."""
        verdict = first_word(answer.text)
        if verdict in self._safe:
            return ()
        if verdict not in self._unsafe:
            raise Unreadable("neither a word that means unsafe nor one that means safe")
        position = word_at(answer.positions, self._unsafe | self._safe)
        return (Opinion(question.categories[0], probability(position, self._unsafe, self._safe)),)


def _filled(question: str, texts: Mapping[str, str]) -> str:
    """Replace every mark of the question; a mark within a text is text."""
    return "".join(_literal(texts[piece]) if piece in texts else piece for piece in _MARKS.split(question))


def _literal(text: str) -> str:
    written = json.dumps(quoted(text), ensure_ascii=False)
    return written.replace("<", "\\u003c").replace(">", "\\u003e")
