"""Prompts, answers and patterns: made-up and harmless, and the same in every run.

Prose that a general audience might ask for, of sentences that are put together from a few hundred ordinary words: no
request repeats another, which something that remembers texts would notice, and no run differs from the next.
"""

import json
import random
from itertools import product

TOKEN = 7
"""Characters of a token, as in stub.c."""
_WHO = (
    "the committee", "my neighbor", "our teacher", "a friend of mine", "the librarian", "the whole family",
    "the visitors", "the gardener", "two members", "the choir", "the baker", "an old sailor", "the young painter",
    "the council", "the museum", "a small orchestra", "the farmers", "the students", "the village", "the editor",
    "the carpenter", "my grandmother", "the team", "the hikers",
)  # fmt: skip
_DID = (
    "met on Tuesday to talk about", "walked past", "wrote a long letter about", "took photographs of",
    "made a plan for", "read about", "looked after", "drew a map of", "told a story about", "repaired", "visited",
    "described", "gave a talk about", "remembered", "sang about", "was glad to see", "asked for",
    "collected notes on", "paid for", "worked on",
)  # fmt: skip
_WHAT = (
    "the garden", "the old bridge", "the library", "the river", "the harvest", "the new school", "the market",
    "the lighthouse", "a quiet lake", "the railway", "the orchard", "the summer concert", "the town hall",
    "the bees", "the winter coats", "the recipe for bread", "the meadow", "a wooden boat", "the clock tower",
    "the history of the valley", "the weather", "a box of letters", "the lanterns", "the bicycle path",
)  # fmt: skip
_END = (
    "and came home late", "before the rain began", "as they do every spring", "with great care",
    "and nobody was in a hurry", "while the coffee was still warm", "although the evening was cold",
    "and brought a list of trees", "after lunch", "which took most of the week", "and thanked everyone",
    "with the help of their cousins", "and that was that", "until the lamps were lit",
    "for the third time this year", "and enjoyed it",
)  # fmt: skip
_ASK = (
    "Please write a short summary of this", "What would you add to it", "Can you put it into plain words",
    "Write a friendly reply to it", "Make a list of the main points", "Suggest a title for this",
)  # fmt: skip
PARTS = (_WHO, _DID, _WHAT, _END)


def prose(rng, length):
    """Return ``length`` characters of sentences."""
    text = []
    have = 0
    while have < length:
        sentence = " ".join(rng.choice(part) for part in PARTS)
        text.append(f"{sentence[0].upper()}{sentence[1:]}. ")
        have += len(text[-1])
    return "".join(text)[:length]


def answers(count=64, tokens=4200):
    """Return the texts that the stub answers with, each of ``tokens`` tokens."""
    rng = random.Random(20)
    return [prose(rng, tokens * TOKEN) for _ in range(count)]


def requests(users=512, prompt=1024, tokens=100, *, stream=False, paced=False):
    """Return ``users`` request bodies, each of another user, with prompts of ``prompt`` bytes."""
    rng = random.Random(prompt * 31 + tokens)
    model = "bench-paced" if paced else "bench"
    bodies = []
    for number in range(users):
        question = rng.choice(_ASK) + ": "
        text = question + prose(rng, max(prompt - len(question), 16))
        body = {
            "model": model,
            "user": f"user-{number:06}",
            "stream": stream,
            "max_tokens": tokens,
            "messages": [{"role": "user", "content": text}],
        }
        bodies.append(json.dumps(body, separators=(",", ":")))
    return bodies


_HOW = ("assemble", "blend", "calibrate", "dissolve", "engrave", "forge", "graft", "hoist", "ignite", "juggle")
_OF = ("amber", "basalt", "cobalt", "dolomite", "ebony", "feldspar", "garnet", "hematite", "ivory", "jasper")
_WHICH = ("lanterns", "mirrors", "nozzles", "orreries", "pulleys")
PHRASES = [" ".join(words) for words in product(_HOW, _OF, _WHICH)]
"""500 phrases of three words."""
CODES = [f"{how[:4]}{what[:3]}{which[0]}" for how, what, which in product(_HOW, _OF, _WHICH)]
EXPRESSIONS = [rf"\b{code}[ -]?[0-9]{{3,6}}\b" for code in CODES]
"""500 regular expressions of a word and a number."""
SHARED = PHRASES[:400], EXPRESSIONS[:100]
"""The 500 patterns that Guard and other filters are given alike."""
