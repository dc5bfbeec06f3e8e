"""What is made of a batch of observations: hashes and intents, profiles, the cohort, crowds, and steps."""

from collections import defaultdict
from collections.abc import Callable, Iterable, Mapping, Sequence
from datetime import UTC, datetime
from functools import partial
from itertools import islice
from typing import TYPE_CHECKING, Any, NamedTuple
from zlib import crc32

from guard.behavior.cohort import EVERY, HOUR, Cohort
from guard.behavior.intent import REASONS, Reason, intent, signs
from guard.behavior.ladder import THRESHOLDS, BehaviorPolicy, Step, advance
from guard.behavior.memory import HOT, Changed, Memory
from guard.behavior.observation import Noted, Observation
from guard.behavior.profile import Profile
from guard.behavior.reading import Reader, Reading, form
from guard.behavior.risk import UNIT, Figures, crowd
from guard.behavior.shape import shape
from guard.behavior.store import COHORT, Change, Store, identity_of, name_of
from guard.behavior.study_twin import UNSEEDED
from guard.screening.normalize import fold

if TYPE_CHECKING:
    from guard.behavior.observer import BehaviorMeter, Journal
    from guard.behavior.table import Table

CROWDING = 0.5
"""Score of an intent from which its template is looked for under other identities."""
KEPT = 35 * 86400.0
"""Seconds after which an identity that was not seen is forgotten."""
SHARED = 30.0
"""Seconds between two writes of the cohort."""
GATHER, WAITING = 30.0, 4096
"""Seconds for which requests of somebody with nothing against him wait in memory after his profile was written, and
how many requests do, at most: to write a profile costs as much as to read a prompt."""
INSTRUCTIONS = 1024
"""System prompts whose signs are remembered: an application sends the same one with every request."""
_NO_NAMES = frozenset[str]()
_PLACES = {reason: place for place, reason in enumerate(REASONS)}


class _Request(NamedTuple):
    reading: Reading
    noted: Noted
    form: tuple[int, ...]
    """Keys of the template, where its intent is worth looking for elsewhere."""


_Taken = bytes | _Request
"""A request with nothing to it but a seed, as the reader marks it, or any other. Most are such, and cost a fifth."""


class Study:
    """Turns observations into standings. For one thread; every method raises StoreUnavailable.

    ``pause`` is called after whatever is done with one of many: there the thread lets others have the interpreter.
    """

    def __init__(
        self,
        store: Store,
        key: bytes,
        meter: "BehaviorMeter",
        journal: "Journal | None",
        table: "Table",
        pause: Callable[[], None] = lambda: None,
    ) -> None:
        self._store, self._meter, self._journal, self._table = store, meter, journal, table
        self._reader, self._memory = Reader(key), Memory(store)
        self._pause = pause
        self.cohort = Cohort()
        self._gathered: list[tuple[Sequence[float], float]] = []
        self._waiting: dict[str, list[_Taken]] = {}
        self._written: dict[str, float] = {}
        """When profiles were written last, the longest ago first; no longer ago than GATHER."""
        self._instructions: dict[tuple[int, int], frozenset[Reason]] = {}
        self._share_at = 0.0

    def take(self, observations: Iterable[Observation], policy: BehaviorPolicy, now: float) -> None:
        """Take the observations of a batch into the profiles of their identities, and move those on the ladder.

        What is no evidence of anything may wait for ``ripen``.
        """
        requests: dict[str, list[_Taken]] = defaultdict(list)
        for observation in observations:
            requests[name_of(observation.identity)].append(self._read(observation))
            self._pause()
        self._aged(now)
        calm = []
        for name, each in requests.items():
            if self._calm(name, each):
                calm.append(name)
            self._pause()
        later = {name: requests.pop(name) for name in calm}
        if sum(map(len, (*self._waiting.values(), *later.values()))) > WAITING:
            self.ripen(policy, now, everything=True)
        self._change_all(requests, policy, now)
        for name, each in later.items():
            self._waiting.setdefault(name, []).extend(each)
        if now >= self._share_at:
            self._share_at = now + SHARED
            self._share(now)

    def ripen(self, policy: BehaviorPolicy, now: float, *, everything: bool = False) -> None:
        """Take in the requests that have waited long enough, or all that wait."""
        self._aged(now)
        self._change_all({name: [] for name in self._waiting if everything or name not in self._written}, policy, now)

    def review(self, identities: Sequence[int], policy: BehaviorPolicy, now: float) -> None:
        """Look again at identities on the ladder: who is refused sends nothing that could move it down."""
        names = []
        for identity in identities:
            profile = self._memory.peek(name_of(identity))
            if profile is not None and profile.standing != self._advanced(profile, policy, now).standing:
                names.append(name_of(identity))
        changed = self._memory.change({name: partial(self._advanced, policy=policy, now=now) for name in names})
        self._settle(changed, policy, now)

    def forget(self, now: float) -> None:
        """Drop what is old."""
        self._store.forget(now - KEPT, _day(now - 86400.0))

    def _aged(self, now: float) -> None:
        """Forget whose profile was written long ago."""
        for name, at in list(self._written.items()):
            if abs(now - at) < GATHER:  # a clock may be put back
                return
            del self._written[name]

    def _calm(self, name: str, requests: Iterable[_Taken]) -> bool:
        """Return whether ``requests`` change nothing that matters now: their identity has nothing against it."""
        profile = self._memory.known(name) if name in self._written else None
        if profile is None or profile.evidence or profile.standing.step:
            return False
        return not any(map(_tells, requests))

    def _change_all(self, requests: Mapping[str, list[_Taken]], policy: BehaviorPolicy, now: float) -> None:
        """Take requests into profiles, no more of them at once than may be in memory."""
        names = iter(requests.items())
        while some := dict(islice(names, HOT)):
            self._change(some, policy, now)

    def _change(self, requests: Mapping[str, list[_Taken]], policy: BehaviorPolicy, now: float) -> None:
        """Take requests into profiles, those that waited before them; they are lost, and counted, where that fails."""
        crowds = self._crowds(requests, now)
        waited = {name: self._waiting.pop(name, []) for name in requests}
        changes: dict[str, Callable[[Profile], object]] = {
            name: partial(
                self._apply, requests=waited[name] + each, crowd_=crowds.get(name, 0.0), policy=policy, now=now
            )
            for name, each in requests.items()
        }
        try:
            changed = self._memory.change(changes)
        except Exception:
            for _ in range(sum(map(len, waited.values()))):
                self._meter.not_evaluated("behavior")
            raise
        for name in changed:
            self._written.pop(name, None)
            self._written[name] = now
        self._settle(changed, policy, now)

    def _read(self, observation: Observation) -> _Taken:
        document, folded = observation.document, fold(observation.prompt)
        said = signs(folded)
        if observation.instructions:
            said = said.union(*map(self._signs, observation.instructions))
        seed = document.get("seed")
        if seed is not None:
            seed = crc32(str(seed)[:40].encode()) % 0xFFFF + 1
        if not (said or observation.d1 or observation.logprobs or len(document) > (seed is not None)):
            return self._reader.mark(folded, observation.time, observation.tokens, seed or 0)
        names = shape(document) if document else _NO_NAMES
        found = intent(said, d1=observation.d1, shape=names, logprobs=observation.logprobs)
        for reason in found.reasons:
            self._meter.intent(reason.value)
        reading = self._reader.read(folded)
        keys: tuple[int, ...] = ()
        if found.score >= CROWDING:
            keys = form([reading, *(self._reader.read(fold(text)) for text in observation.instructions)])
        noted = Noted(
            observation.time,
            found.score,
            tuple([_PLACES[reason] for reason in found.reasons]),
            seed or 0,
            observation.tokens,
            observation.d1 > 0,
            observation.logprobs,
            Reason.REASONING in found.reasons or bool(document.get("reasoning") or document.get("include_reasoning")),
            bool(names),
        )
        return _Request(reading, noted, keys)

    def _signs(self, text: str) -> frozenset[Reason]:
        """Return the signs of a system prompt, known by its hash alone."""
        key = hash(text), len(text)
        found = self._instructions.get(key)
        if found is None:
            if len(self._instructions) >= INSTRUCTIONS:
                self._instructions.clear()
            found = self._instructions[key] = signs(fold(text))
        return found

    def _crowds(self, requests: Mapping[str, list[_Taken]], now: float) -> dict[str, float]:
        sightings = list(dict.fromkeys(
            (key, name)
            for name, each in requests.items() for request in each if not isinstance(request, bytes)
            for key in request.form
        ))  # fmt: skip
        if not sightings:
            return {}
        found: dict[str, float] = {}
        for (_, name), identities in zip(sightings, self._store.saw(_day(now), sightings), strict=True):
            found[name] = max(found.get(name, 0.0), crowd(identities))
        return found

    def _apply(
        self, profile: Profile, requests: Sequence[_Taken], crowd_: float, policy: BehaviorPolicy, now: float
    ) -> None:
        marks: list[bytes] = []
        sweeps = 0
        for request in requests:
            if isinstance(request, bytes):
                marks.append(request)
                continue
            sweeps += profile.observe_all(b"".join(marks))
            marks.clear()
            sweeps += profile.observe(request.reading, request.noted) is Reason.SEED_SWEEP
        sweeps += profile.observe_all(b"".join(marks))
        for _ in range(sweeps):
            self._meter.intent(Reason.SEED_SWEEP.value)
        profile.crowds(crowd_, now)
        usual = profile.standing.step is Step.METRIC and profile.evidence < UNIT / 2
        if usual and profile.requests >= EVERY and now - profile.contributed >= HOUR:
            profile.contributed = now
            self._gathered.append((profile.recent.shares(), profile.tokens(now)))
        self._advanced(profile, policy, now)
        self._pause()

    def _advanced(self, profile: Profile, policy: BehaviorPolicy, now: float) -> Profile:
        risk = profile.bound(now)
        if profile.standing.step or risk >= THRESHOLDS[Step.ALERT]:  # else the risk itself would be as idle
            risk = profile.figures(self.cohort, now).risk
        profile.standing = advance(profile.standing, risk, now, policy)
        return profile

    def _settle(self, changed: Mapping[str, Changed], policy: BehaviorPolicy, now: float) -> None:
        """Bring the table up to date, and write down who moved."""
        for name, (before, profile) in changed.items():
            self._pause()
            step = profile.standing.step
            self._table.put(identity_of(name), step)
            if step is before.step:
                continue
            figures = profile.figures(self.cohort, now)
            reasons = [reason.value for reason in profile.why(figures)]
            self._meter.behavior_step(step.word, reasons[0] if reasons and step > before.step else "over")
            if self._journal is not None:
                self._journal.append("behavior", facts(name, before.step, step, figures, reasons, policy))

    def _share(self, now: float) -> None:
        """Add what was gathered to the cohort that all share, and read what others added."""
        for _ in range(4):
            row = self._store.read([COHORT]).get(COHORT)
            cohort = _cohort(row.data) if row is not None else Cohort()
            for presence, tokens in self._gathered:
                cohort.take(presence, tokens)
            self.cohort = cohort
            revision = row.revision if row is not None else 0
            if not self._gathered:
                return
            if not self._store.write([Change(COHORT, revision, cohort.pack(), Step.METRIC, now)]):
                self._gathered.clear()
                return


def facts(
    name: str, before: Step, step: Step, figures: Figures, reasons: Sequence[str], policy: BehaviorPolicy
) -> dict[str, Any]:
    """Return the facts of a step for the journal: a pseudonym, figures and ids of reasons, no text."""
    return {
        "user": name,
        "before": before.word,
        "step": step.word,
        "enforced": policy.enforce and step >= Step.CLAMP,
        "risk": round(figures.risk, 3),
        "reasons": list(reasons),
        "figures": {field: round(value, 3) for field, value in figures._asdict().items()},
    }


def _tells(request: _Taken) -> bool:
    """Return whether a request is evidence, or may be part of a sweep."""
    if isinstance(request, bytes):
        return not request.endswith(UNSEEDED)
    noted = request.noted
    return bool(noted.reasons or noted.score or noted.seed)


def _cohort(data: bytes) -> Cohort:
    try:
        return Cohort.unpack(data)
    except ValueError:  # of another version: learnt anew
        return Cohort()


def _day(now: float) -> str:
    return datetime.fromtimestamp(now, UTC).date().isoformat()
