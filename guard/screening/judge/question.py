"""What a judge is asked about a conversation, and what it may answer."""

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple, Protocol


class Unreadable(Exception):
    """The judge's answer is none in its family's format: nothing follows from it, least of all that all is well."""


class Conversation(NamedTuple):
    """What is judged: the user's text alone, or the model's answer to it."""

    user: str
    answer: str | None = None
    """None: the user's text is judged."""


class Question(NamedTuple):
    """One request to the judge."""

    chat: bool
    """True for chat completions, False for completions."""
    body: Mapping[str, Any]
    """The request without the judge's name."""
    categories: tuple[str, ...]
    """Our categories that it is about, the one to be reported first."""


class Position(NamedTuple):
    """A token of the answer, and the log probabilities of what could have stood there instead, itself included."""

    token: str
    alternatives: Mapping[str, float]


class Answer(NamedTuple):
    """What came back."""

    text: str
    cut: bool = False
    """True if the answer ended because it was as long as was allowed."""
    positions: tuple[Position, ...] = ()
    """Empty where the server tells no log probabilities."""


class Opinion(NamedTuple):
    """The judge holds the conversation to be unsafe."""

    category: str
    score: float | None = None
    """Probability of ``unsafe`` against ``safe``, where the server tells it."""
    sure: bool = True
    """False if the judge itself says that it is not."""


class Family(Protocol):
    """A kind of judge."""

    @property
    def categories(self) -> frozenset[str]:
        """Our categories that it can be asked about."""

    @property
    def answers(self) -> bool:
        """True if it can judge a model's answers, too."""

    def ask(self, conversation: Conversation, categories: Sequence[str]) -> list[Question]:
        """Return the questions that together ask about ``categories``, all of them known to this family.

        No text of the conversation ends its place in the prompt: ``guard.screening.judge.quoting``.
        """

    def read(self, question: Question, answer: Answer) -> tuple[Opinion, ...]:
        """Return what is unsafe by the judge's ``answer``; empty: it is safe. Raises Unreadable."""


def chat(
    messages: Sequence[tuple[str, str]], categories: Sequence[str], most_tokens: int, template: Mapping[str, Any]
) -> Question:
    """Return a chat question; ``messages`` are (role, text), ``template`` goes to the judge's own chat template."""
    body: dict[str, Any] = {
        "messages": [{"role": role, "content": text} for role, text in messages],
        "temperature": 0,
        "max_tokens": most_tokens,
        "logprobs": True,
        "top_logprobs": LOGPROBS,
    }
    if template:
        body["chat_template_kwargs"] = dict(template)
    return Question(True, body, tuple(categories))


def completion(prompt: str, categories: Sequence[str], most_tokens: int) -> Question:
    """Return a question that is a whole prompt."""
    body = {"prompt": prompt, "temperature": 0, "max_tokens": most_tokens, "logprobs": LOGPROBS}
    return Question(False, body, tuple(categories))


LOGPROBS = 5
"""Alternatives asked for at each token: what every server gives (the completions API allows no more)."""
