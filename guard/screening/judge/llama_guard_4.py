"""Llama Guard 4 (12B): as Llama Guard 3, with content in parts as its multimodal chat template wants it.

Format, from the model card (meta-llama/PurpleLlama, Llama-Guard4/12B/MODEL_CARD.md): ``safe``, or ``unsafe`` and in
the second line the violated categories ``S1`` to ``S14``, comma-separated. S14 is for text only, and
Guard shows it no other.
"""

from collections.abc import Sequence

from guard.screening.judge.llama_guard_3 import CODES, MOST_TOKENS, LlamaGuard3
from guard.screening.judge.question import Conversation, Question, chat
from guard.screening.judge.quoting import quoted

__all__ = ["CODES", "LlamaGuard4"]


class LlamaGuard4(LlamaGuard3):
    """A judge that reads the whole list of hazards in one call and names those it finds."""

    def ask(self, conversation: Conversation, categories: Sequence[str]) -> list[Question]:
        """Return one question."""
        messages = [("user", quoted(conversation.user))]
        if conversation.answer is not None:
            messages.append(("assistant", quoted(conversation.answer)))
        question = chat(messages, categories, MOST_TOKENS, {})
        parts = [{"role": role, "content": [{"type": "text", "text": text}]} for role, text in messages]
        return [question._replace(body={**question.body, "messages": parts})]
