"""What is remembered of one identity: at most 4096 bytes, in a layout that never grows.

    head        version, step, held, spare                                          4 x u8
    times       first, last, since, rising, falling, crowd, contributed             7 x f64
    counts      requests, prompts of the week and of the week before                3 x u32
    figures     evidence, tokens of a day and of two weeks, requests of an hour,
                mean and variance of the logarithm of gaps, template, reasoning,
                logprobs, schema, d1, crowd                                         12 x f32
    reasons     evidence by reason                                                  16 x f32
    distinct    begin of the week, two HyperLogLogs                                 f64, 2 x 128 x u8
    subjects    presence, recent and past                                           2 x 256 x f16
    window      prompts of it, then each: sketch, its length, prompt, seed          u8, 32 x (16 x u32, u8, u32, u16)

Sums that fade are exact at ``last``; reading them later fades them further.
"""

import struct
from collections.abc import Sequence
from math import exp, exp2, log

from guard.behavior.cohort import Cohort
from guard.behavior.distinct import REGISTERS, Distinct
from guard.behavior.inner import take
from guard.behavior.intent import REASONS, SCORES, Reason
from guard.behavior.ladder import Standing, Step
from guard.behavior.observation import Noted, plain
from guard.behavior.reading import Reading, read_mark
from guard.behavior.risk import ALLOWANCE, CAP, HALF_LIFE, MOST_CONTEXT, Figures, risk
from guard.behavior.study_twin import BUCKETS, LENGTH, MARK, RECORD
from guard.behavior.subjects import PAST, RECENT, Presence, coverage, discrepancy
from guard.behavior.window import Window

VERSION = 1
MOST = 4096
"""Bytes of a packed profile, at most."""
DAY, HOUR, FORTNIGHT = 86400.0, 3600.0, 14 * 86400.0
SPAN = 64
"""Requests over which shares reach back."""
_SLOTS = 16
_HEAD = struct.Struct(f"<4B7d3I12f{_SLOTS}fd")
_SUBJECTS = 2 * BUCKETS
"""Bytes."""
SIZE = _HEAD.size + 2 * REGISTERS + 2 * _SUBJECTS + 1 + LENGTH * RECORD.size
_TIME = struct.Struct("=d")
"""How a MARK begins."""
_SWEEP = REASONS.index(Reason.SEED_SWEEP)


def version(data: bytes) -> int:
    """Return the version that a packed profile says it has; 0 where there is none."""
    return data[0] if data else 0


class Profile:
    """One identity's behavior so far."""

    __slots__ = (
        "contributed", "crowd", "crowded", "d1", "distinct", "evidence", "first", "gap_mean", "gap_variance", "last",
        "logprobs", "past", "reasoning", "reasons", "recent", "requests", "requests_hour", "schema", "standing",
        "template", "tokens_day", "tokens_long", "window",
    )  # fmt: skip

    def __init__(self) -> None:
        self.first = self.last = self.crowded = self.contributed = 0.0
        self.requests = 0
        self.evidence = self.tokens_day = self.tokens_long = self.requests_hour = 0.0
        self.gap_mean = self.gap_variance = 0.0
        self.template = self.reasoning = self.logprobs = self.schema = self.d1 = self.crowd = 0.0
        self.reasons = [0.0] * _SLOTS
        self.distinct, self.window = Distinct(), Window()
        self.recent, self.past = Presence(), Presence()
        self.standing = Standing()

    def observe(self, reading: Reading, noted: Noted) -> Reason | None:
        """Take one request in; return SEED_SWEEP if it is part of one. A request that comes late counts as now."""
        now = max(noted.time, self.last)
        self._fade(now)
        if not self.requests:
            self.first = now
        self.requests += 1
        step = max(1.0 / SPAN, 1.0 / self.requests)
        template, sweep = self.window.add(reading, noted.seed)
        self.template += step * (template - self.template)
        self.reasoning += step * (noted.reasoning - self.reasoning)
        self.logprobs += step * (noted.logprobs - self.logprobs)
        self.schema += step * (noted.schema - self.schema)
        self.d1 += step * (noted.d1 - self.d1)
        self.tokens_day += noted.tokens
        self.tokens_long += noted.tokens
        self.requests_hour += 1
        self.distinct.add(reading, now)
        self.recent.add(reading.subjects, self.requests, RECENT)
        self.past.add(reading.subjects, self.requests, PAST)
        score = noted.score
        if sweep:
            score = 1.0 - (1.0 - score) * (1.0 - SCORES[Reason.SEED_SWEEP])
        self.evidence = min(CAP, max(0.0, self.evidence + score - ALLOWANCE))
        places = (*noted.reasons, _SWEEP) if sweep else noted.reasons
        for place in places:
            self.reasons[place] += SCORES.get(REASONS[place], score)
        return Reason.SEED_SWEEP if sweep else None

    def observe_all(self, marks: bytes) -> int:
        """Take requests in that have nothing to them but a seed, each a MARK, as ``observe`` would one by one.

        Returns how many are part of a sweep.
        """
        sweeps = 0
        if take is None:
            for at in range(0, len(marks), MARK.size):
                reading, time, tokens, seed = read_mark(marks[at : at + MARK.size])
                sweeps += self.observe(reading, plain(time, tokens, seed)) is not None
            return sweeps
        at, distinct, recent, past = 0, self.distinct, self.recent, self.past
        while at < len(marks):
            now, before = max(_TIME.unpack_from(marks, at)[0], self.last), self.requests
            if not before:
                self.first = now
            distinct.turn(now)
            at, swept, self.requests, (
                self.last, self.evidence, self.tokens_day, self.tokens_long, self.requests_hour, self.gap_mean,
                self.gap_variance, self.template, self.reasoning, self.logprobs, self.schema, self.d1,
                recent.scale, past.scale,
            ) = take(
                marks, at, self.window.records, distinct.now, recent.scaled, past.scaled, self.reasons, distinct.since,
                before, (
                    self.last, self.evidence, self.tokens_day, self.tokens_long, self.requests_hour, self.gap_mean,
                    self.gap_variance, self.template, self.reasoning, self.logprobs, self.schema, self.d1,
                    recent.scale, past.scale,
                ),
            )  # fmt: skip
            distinct.counted += self.requests - before
            sweeps += swept
        return sweeps

    def crowds(self, weight: float, now: float) -> None:
        """Note that a template of its is one of several identities'; a greater ``weight`` of a day stays."""
        if weight >= self.crowd:
            self.crowd, self.crowded = weight, now

    def figures(self, cohort: Cohort, now: float) -> Figures:
        """Return what is known at ``now``; nothing changes."""
        silence, tokens = max(0.0, now - self.last), self.tokens(now)
        few, recent = min(1.0, self.requests / SPAN), self.recent.shares()
        return Figures(
            requests=self.requests,
            evidence=self._evidence(now),
            tokens_day=tokens,
            requests_hour=self.requests_hour * exp(-silence / HOUR),
            template=self.template * few,
            distinct=self.distinct.ratio(),
            coverage=coverage(recent),
            reasoning=self.reasoning * few,
            logprobs=self.logprobs * few,
            schema=self.schema * few,
            d1=self.d1,
            shift=self._shift(recent, cohort),
            volume=min(1.0, max(0.0, (cohort.above(tokens) - 1.0) / 2.0)),
            regular=max(0.0, 1.0 - self.gap_variance**0.5 / 1.5) * few,
            crowd=self._crowd(now),
        )

    def bound(self, now: float) -> float:
        """Return the most that the risk can be at ``now``, however the identity behaves; costs a hundredth of it."""
        return risk(self._evidence(now), MOST_CONTEXT, self._crowd(now))

    def tokens(self, now: float) -> float:
        """Return the output tokens a day, over the last days."""
        silence = max(0.0, now - self.last)
        return max(self.tokens_day * exp(-silence / DAY), self.tokens_long * exp(-silence / FORTNIGHT) / 14)

    def why(self, figures: Figures) -> tuple[Reason, ...]:
        """Return the reasons that weigh, the heaviest of the requests' first."""
        total = sum(self.reasons) or 1.0
        order = sorted(range(len(REASONS)), key=lambda place: -self.reasons[place])
        requests = [REASONS[place] for place in order if self.reasons[place] >= 0.1 * total]
        return tuple(dict.fromkeys((*requests, *figures.reasons())))

    def _evidence(self, now: float) -> float:
        return self.evidence * exp2(-max(0.0, now - self.last) / HALF_LIFE)

    def _crowd(self, now: float) -> float:
        return self.crowd * exp(-max(0.0, now - self.crowded) / DAY)

    def _shift(self, recent: Sequence[float], cohort: Cohort) -> float:
        """The two-sample statistic: against its own past, and against everybody's."""
        if self.requests < 4 * RECENT:
            own = 0.0
        else:
            own = discrepancy(recent, 2 * RECENT - 1, self.past.shares(), 2 * PAST - 1)
        if self.requests < RECENT or cohort.contributions < 4096 // RECENT:
            return own
        return max(own, discrepancy(recent, 2 * RECENT - 1, cohort.presence, cohort.contributions))

    def _fade(self, now: float) -> None:
        if not self.requests:
            self.last = now
            return
        passed, self.last = now - self.last, now
        self.tokens_day *= exp(-passed / DAY)
        self.tokens_long *= exp(-passed / FORTNIGHT)
        self.requests_hour *= exp(-passed / HOUR)
        kept = 0.5 ** (passed / HALF_LIFE)
        self.evidence *= kept
        self.reasons = [weight * kept for weight in self.reasons]
        gap = log(max(passed, 1e-3))
        step = max(1.0 / SPAN, 1.0 / self.requests)
        apart = gap - self.gap_mean
        self.gap_mean += step * apart
        self.gap_variance = (1.0 - step) * (self.gap_variance + step * apart * apart)

    def pack(self) -> bytes:
        """Return it in ``SIZE`` bytes, whatever it holds."""
        standing, distinct, records = self.standing, self.distinct, self.window.records
        head = _HEAD.pack(
            VERSION, standing.step, standing.held, 0,
            self.first, self.last, standing.since, standing.rising, standing.falling, self.crowded, self.contributed,
            min(self.requests, 0xFFFFFFFF), distinct.counted, distinct.counted_before,
            self.evidence, self.tokens_day, self.tokens_long, self.requests_hour, self.gap_mean, self.gap_variance,
            self.template, self.reasoning, self.logprobs, self.schema, self.d1, self.crowd,
            *self.reasons, distinct.since,
        )  # fmt: skip
        return b"".join((
            head, distinct.now, distinct.before, self.recent.pack(), self.past.pack(),
            bytes([len(self.window)]), records, bytes(LENGTH * RECORD.size - len(records)),
        ))  # fmt: skip

    @classmethod
    def unpack(cls, data: bytes) -> "Profile":
        """Return what ``pack`` wrote. Raises ValueError for anything else."""
        if len(data) != SIZE or data[0] != VERSION:
            raise ValueError(f"profile of {len(data)} bytes; allowed: version {VERSION}, {SIZE} bytes")
        found, (_, step, held, _, *rest) = cls.__new__(cls), _HEAD.unpack_from(data)
        found.first, found.last, since, rising, falling, found.crowded, found.contributed = rest[:7]
        found.standing = Standing(Step(step), bool(held), since, rising, falling)
        distinct = found.distinct = Distinct()
        found.requests, distinct.counted, distinct.counted_before = rest[7:10]
        (
            found.evidence, found.tokens_day, found.tokens_long, found.requests_hour, found.gap_mean,
            found.gap_variance, found.template, found.reasoning, found.logprobs, found.schema, found.d1, found.crowd,
        ) = rest[10:22]  # fmt: skip
        found.reasons, distinct.since = rest[22 : 22 + _SLOTS], rest[-1]
        at = _HEAD.size
        distinct.now, distinct.before = (
            bytearray(data[at : at + REGISTERS]),
            bytearray(data[at + REGISTERS : at + 2 * REGISTERS]),
        )
        at += 2 * REGISTERS
        found.recent = Presence(data[at : at + _SUBJECTS])
        found.past = Presence(data[at + _SUBJECTS : at + 2 * _SUBJECTS])
        at += 2 * _SUBJECTS
        found.window = Window(data[at + 1 : at + 1 + data[at] * RECORD.size])
        return found
