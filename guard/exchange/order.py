"""The order of the steps is data: this tuple is the road."""

from collections.abc import Callable

from guard.exchange.admit import admit
from guard.exchange.agree import agree
from guard.exchange.count import reserve
from guard.exchange.entitle import entitle
from guard.exchange.exchange import Exchange
from guard.exchange.identify import identify
from guard.exchange.locate import locate
from guard.exchange.refusal import Refusal
from guard.exchange.restrain import restrain
from guard.exchange.screen_prompt import screen_prompt

Step = Callable[[Exchange], Refusal | None]

BEFORE_TEXT: tuple[Step, ...] = (identify, admit, agree, locate, entitle, restrain, reserve)
"""Steps that need no text: they run before token prompts are detokenized, so that a stranger costs nothing.

Who asks comes first, because it decides which tenant's policy the model is admitted under: digests, a look-up and at
most one signature, no text and no store. So a stranger learns that he is one before he learns which models there are.
"""

BEFORE_FORWARD: tuple[Step, ...] = (screen_prompt,)
"""Steps that read the prompt."""


def walk(exchange: Exchange, steps: tuple[Step, ...]) -> Refusal | None:
    """Return the refusal of the first step that refuses, or None when all of them let the request pass."""
    for step in steps:
        refusal = step(exchange)
        if refusal is not None:
            return refusal
    return None
