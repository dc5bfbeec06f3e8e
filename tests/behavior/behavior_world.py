"""Requests of people and of extraction runs, a store in memory that can fail, and a meter that remembers."""

import random
from collections import Counter

from guard.behavior.observation import Noted, Observation
from guard.behavior.reading import Reader
from guard.behavior.store import Row, StoreUnavailable
from guard.screening.normalize import fold

KEY = b"b" * 32
_READER = Reader(KEY)
NOON = 1_795_000_000.0
WORDS = ["harbor", "lantern", "orchard", "gravel", "piston", "violin", "glacier", "pepper", "saddle", "thunder",
         "marble", "copper", "meadow", "canvas", "engine", "ribbon", "walnut", "anchor", "candle", "falcon"]  # fmt: skip


def prose(seed, length=30):
    return " ".join(random.Random(seed).choices(WORDS, k=length))


def read(text, reader=_READER):
    """The reading of a text, folded as the thread behind does it."""
    return reader.read(fold(text))


def templated(seed):
    return (
        "Answer the question with nothing but the passage below and name the sentence that you rely on.\n\n"
        f"Passage: {prose(seed, 20)}\n\nQuestion: what about the {prose(seed + 1, 3)}?"
    )


def note(time, score=0.0, **changes):
    told = {
        "reasons": (),
        "seed": 0,
        "tokens": 200,
        "d1": False,
        "logprobs": False,
        "reasoning": False,
        "schema": False,
    }
    return Noted(time, score, **{**told, **changes})


def observation(identity=1, prompt="hello there", time=NOON, **changes):
    told = {"instructions": (), "document": {}, "d1": 0.0, "logprobs": False, "tokens": 200}
    return Observation(identity, time, prompt, **{**told, **changes})


class Kept:
    """A store in memory; ``down`` makes it fail, ``race`` is called before each write."""

    def __init__(self):
        self.rows, self.steps, self.crowd, self.down, self.race = {}, {}, {}, False, lambda: None
        self.forgotten, self.closed = [], False

    def _up(self):
        if self.down:
            raise StoreUnavailable("behavior: down")

    def read(self, names):
        self._up()
        return {name: self.rows[name] for name in names if name in self.rows}

    def write(self, changes):
        self._up()
        self.race()
        late = []
        for change in changes:
            if self.rows.get(change.name, Row(0, b"")).revision != change.revision:
                late.append(change.name)
                continue
            self.rows[change.name] = Row(change.revision + 1, change.data)
            self.steps[change.name] = change.step
        return late

    def standing(self):
        self._up()
        return {name: step for name, step in self.steps.items() if step}

    def saw(self, day, sightings):
        self._up()
        counts = []
        for template, identity in sightings:
            seen = self.crowd.setdefault((day, template), set())
            seen.add(identity)
            counts.append(len(seen))
        return counts

    def forget(self, before, day):
        self.forgotten.append((before, day))

    def close(self):
        self.closed = True


class Notes:
    """A meter and a journal."""

    def __init__(self):
        self.intents, self.steps, self.lost, self.entries = Counter(), [], 0, []

    def intent(self, reason):
        self.intents[reason] += 1

    def behavior_step(self, step, reason):
        self.steps.append((step, reason))

    def not_evaluated(self, reason):
        assert reason == "behavior"
        self.lost += 1

    def append(self, kind, facts):
        assert kind == "behavior"
        self.entries.append(facts)
