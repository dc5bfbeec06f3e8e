"""How soon does behavior over time show an attempt to make training data, and how often does it accuse the innocent?

A month of made-up traffic (``replay/``) goes through what runs behind answers in production: the screening tiers' score
of training data, intents, profiles, cohort, crowds, the ladder. First identities that do nothing wrong, eleven kinds
of them; then attacks in the middle of them: alone, mixed into benign traffic, slow, and spread over identities. Dwell
times are nil, so that the figures are those of the risk itself. The formula was calibrated on seed 7 and on teachers
of seed 4242; the default is another one. Attacks are the same under every seed.

    python benchmarks/behavior_replay.py [--identities 31] [--days 30] [--trials 5] [--seed 11] [--svg FILE]

Chat users and teachers are twelve times as many as the other kinds. Prints tables, bytes of state, CPU per observation.
"""

import argparse
import random
import statistics
import sys
import time
from collections import Counter
from functools import lru_cache
from pathlib import Path

from replay.chart import chart
from replay.traffic import ATTACKS, BENIGN, DAY, HOUR, Benign, Malicious, Texts

from guard.behavior import study as studying
from guard.behavior.ladder import BehaviorPolicy, Step
from guard.behavior.observation import Observation
from guard.behavior.profile import SIZE, Profile
from guard.behavior.reading import Reader
from guard.behavior.store import COHORT, Row, name_of
from guard.behavior.study import Study
from guard.behavior.table import Table
from guard.policy.locations import shipped_rules
from guard.policy.rules import load_rules
from guard.screening.learned.learned import default
from guard.screening.ruleset import RuleSet
from guard.screening.segments import Segment, Source

BATCH = 900.0
"""Seconds of traffic that one batch holds."""
KEY = bytes(32)
MANY = {"chat": 12, "teacher": 12}
SLOW, ALONE = 8, 2000
"""Requests a day of a slow attack and of one at full speed."""
AT_ONCE = BehaviorPolicy(most=Step.SUSPEND, up=(0.0,) * 5, down=DAY)


class Kept:
    """A store in memory."""

    def __init__(self):
        self.rows, self.crowd = {}, {}

    def read(self, names):
        return {name: self.rows[name] for name in names if name in self.rows}

    def write(self, changes):
        for change in changes:
            self.rows[change.name] = Row(change.revision + 1, change.data)
        return ()

    def saw(self, day, sightings):
        counts = []
        for template, identity in sightings:
            seen = self.crowd.setdefault((day, template), set())
            seen.add(identity)
            counts.append(len(seen))
        return counts


class Scores:
    """The score of D1 as the exchange has it: the highest of the rules and the learned tier."""

    def __init__(self):
        rules = [rule for rule in load_rules([shipped_rules()])[0] if rule.category == "D1"]
        self._rules, self._learned = RuleSet(rules), default()
        self._scores = {rule.id: rule.score for rule in rules}
        self.of = lru_cache(1 << 18)(self._of)

    def _of(self, text):
        segments = [Segment(Source.USER, text)]
        findings = [*self._rules.scan(segments), *self._learned.scan(segments).findings]
        return max(
            (each.score or self._scores.get(each.rule, 0.0) for each in findings if each.category == "D1"), default=0.0
        )


class Watch:
    """A meter and a journal that remember who came to which step, when."""

    def __init__(self):
        self.reached, self.reasons, self.now = {}, Counter(), 0.0

    def intent(self, reason):
        pass

    def behavior_step(self, step, reason):
        pass

    def not_evaluated(self, reason):
        raise RuntimeError(reason)

    def append(self, _kind, facts):
        step = Step.parse(facts["step"])
        if step > Step.parse(facts["before"]):
            self.reached.setdefault((facts["user"], step), self.now)
            if step is Step.ALERT:
                self.reasons[facts["reasons"][0]] += 1


class World:
    """One deployment: a study with its store."""

    def __init__(self, scores, before=None):
        self.watch, self.store, self.scores, self.taken = Watch(), Kept(), scores, 0
        self.study = Study(self.store, KEY, self.watch, self.watch, Table())
        if before is not None:  # the same deployment: what is usual there is known
            self.study.cohort = before.study.cohort
            self.store.rows[COHORT] = before.store.rows[COHORT]

    def play(self, sent):
        """Let (identity, Sent) pass, in the order of time."""
        sent.sort(key=lambda each: each[1].time)
        at = 0
        while at < len(sent):
            end = sent[at][1].time + BATCH
            observations = []
            while at < len(sent) and sent[at][1].time < end:
                identity, each = sent[at]
                score = max(map(self.scores.of, (each.prompt, *each.system)))
                observations.append(Observation(
                    identity, each.time, each.prompt, each.system, each.document, score, each.logprobs, each.tokens
                ))  # fmt: skip
                at += 1
            self.watch.now = observations[-1].time
            self.study.take(observations, AT_ONCE, self.watch.now)
            self.taken += len(observations)


def progress(text):
    if sys.stderr.isatty():
        print(f"\r{text:<70}", end="", file=sys.stderr, flush=True)


def benign(world, texts, identities, days, chance):
    """Play the benign months; return identities by kind."""
    make, kinds, sent = Benign(texts), {}, []
    for kind in BENIGN:
        for _ in range(identities * MANY.get(kind, 1)):
            identity = len(kinds) + 1
            kinds[identity] = kind
            sent += [(identity, each) for each in getattr(make, kind)(random.Random(chance.random()), days)]
    progress(f"{len(kinds)} identities, {len(sent)} requests")
    world.play(sent)
    return kinds


def accused(world, kinds, days):
    """Print how many of each kind came to each step."""
    months = Counter(kinds.values())
    print(f"\nfalse accusations: {len(kinds)} identities, {world.taken} requests, {days} days\n")
    print("| kind | identities | " + " | ".join(f"{step.word}" for step in Step if step) + " |")
    print("|---|---|" + "---|" * 4)
    for kind in (*BENIGN, "all"):
        names = [name_of(identity) for identity, each in kinds.items() if kind in {each, "all"}]
        reached = [sum((name, step) in world.watch.reached for name in names) for step in Step if step]
        per = len(names) * days / 30
        cells = [f"{count} ({1000 * count / per:.1f})" for count in reached]
        print(f"| {kind} | {months[kind] or len(names)} | " + " | ".join(cells) + " |")
    print("\n(in brackets: per 1,000 identity-months)")
    risks = {}
    for identity, kind in kinds.items():
        row = world.store.rows.get(name_of(identity))
        if row is not None:
            profile = Profile.unpack(row.data)
            risks.setdefault(kind, []).append(profile.figures(world.study.cohort, profile.last).risk)
    print("\nrisk at the end, median and highest: " + ", ".join(
        f"{kind} {statistics.median(found):.2f}/{max(found):.2f}" for kind, found in risks.items()
    ))  # fmt: skip


def attacked(world, texts, kind, share, per_day, identities, days, trials):
    """Play one attack ``trials`` times from day 0 of new identities; return per trial what the first of them took.

    ``per_day`` is the attack's requests a day in all, ``share`` their share of each identity's traffic.
    """
    attack, make, results = getattr(Malicious(texts), kind), Benign(texts), []
    for trial in range(trials):
        own = random.Random(f"{kind} {share} {per_day} {identities} {trial}")
        first, sent = 1 << 40, []
        of_each = per_day / identities
        for member in range(identities):
            for place in range(int(days * of_each)):
                at = (place + own.random()) * DAY / of_each
                sent.append((first + member, attack(own, at)))
            wanted = int(days * of_each * (1 - share) / share)
            cover, same = [], random.Random(f"{trial} {member}")  # the same whatever the attack
            while len(cover) < wanted:
                cover += list((make.chat if same.random() < 0.5 else make.rag)(same, days))
            own.shuffle(cover)
            sent += [(first + member, each) for each in cover[:wanted]]
        fresh = World(world.scores, world)
        fresh.play(sent)
        names = {name_of(first + member) for member in range(identities)}
        found = {}
        for step in Step:
            times = [at for (name, reached), at in fresh.watch.reached.items() if reached is step and name in names]
            if times:
                at = min(times)
                found[step] = (
                    at / HOUR,
                    sum(each.attack and each.time <= at for _, each in sent),
                )
        results.append(found)
    return results


def line(label, results):
    """Print one row: the share of trials detected, the median hours and requests to the alert, and the steps."""
    cells = []
    for step in (Step.ALERT, Step.CLAMP, Step.REQUIRE_PURPOSE, Step.SUSPEND):
        found = [result[step] for result in results if step in result]
        cells.append(
            f"{len(found) / len(results):.2f}: {statistics.median(each[0] for each in found):.1f} h, "
            f"{statistics.median(each[1] for each in found):.0f}"
            if found else "0.00"
        )  # fmt: skip
    print(f"| {label} | " + " | ".join(cells) + " |", flush=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("--identities", type=int, default=31)
    parser.add_argument("--days", type=int, default=30)
    parser.add_argument("--trials", type=int, default=5)
    parser.add_argument("--seed", type=int, default=11)
    parser.add_argument("--svg", type=Path, default=Path(__file__).parent.parent / "docs" / "images" / "behavior.svg")
    options = parser.parse_args()
    chance, texts = random.Random(options.seed), Texts()
    alone, batched = cost(texts)
    # Texts come again in the replay; what is read of one is the same each time.
    studying.signs = lru_cache(1 << 18)(studying.signs)
    studying.Reader, Reader.read = lru_cache(Reader), lru_cache(1 << 18)(Reader.read)
    world = World(Scores())
    kinds = benign(world, texts, options.identities, options.days, chance)
    accused(world, kinds, options.days)
    if world.watch.reasons:
        print("first reasons of alerts:", dict(world.watch.reasons.most_common()))
    head = "| attack | alert | clamp | require_purpose | suspend |\n|---|---|---|---|---|"
    note = "(share of trials that reach the step: median hours and attack requests until then)"
    print(f"\nalone, {ALONE} requests a day {note}\n\n{head}")
    for kind in ATTACKS:
        line(kind, attacked(world, texts, kind, 1.0, ALONE, 1, 3, options.trials))
    print(f"\nslow, {SLOW} requests a day, {options.days} days\n\n{head}")
    for kind in ATTACKS:
        line(kind, attacked(world, texts, kind, 1.0, SLOW, 1, options.days, options.trials))
    curves = {}
    print(f"\nmixed into benign traffic, 100 attack requests a day, 5 days\n\n{head}")
    for kind in ATTACKS[:-1]:
        for share in (0.1, 0.25, 0.5, 1.0):
            results = attacked(world, texts, kind, share, 100, 1, 5, options.trials)
            line(f"{kind}, {share:.0%}", results)
            found = [result[Step.ALERT][1] for result in results if Step.ALERT in result]
            detected = len(found) / len(results)
            curves.setdefault(kind, []).append((share, detected, statistics.median(found) if found else None))
    print(
        f"\nspread over m identities, 100 attack requests a day in all, half of each one's traffic, 10 days; until the "
        f"first of them\n\n{head}"
    )
    for kind in ("self_instruct", "pairs"):
        for members in (1, 5, 20, 50):
            line(
                f"{kind}, m = {members}",
                attacked(world, texts, kind, 0.5, 100, members, 10, max(2, options.trials // 2)),
            )
    print(
        f"\nstate: {SIZE} bytes an identity; median CPU of an observation, prompts of 0.9 KB: {batched:.0f} us where "
        f"100 identities send 200 requests a second, {alone:.0f} us where each comes alone"
    )
    options.svg.parent.mkdir(parents=True, exist_ok=True)
    options.svg.write_text(chart(curves), encoding="utf-8")
    print(f"curves: {options.svg}")


def cost(texts, number=1600):
    """Return the CPU microseconds of an observation in the thread behind: one at a time, and 400 of 100 identities.

    Each text is new, every profile that changed is packed for the store, and the words are known, as after a while.
    """
    sent = list(Benign(texts).rag(random.Random(3), 20))[:number]
    began = sent[0].time
    told = [
        Observation(place % 100, began + place / 200, each.prompt, (), each.document, 0.0, False, 100)
        for place, each in enumerate(sent)
    ]
    medians = []
    for size in (1, 400):
        study, taken = Study(Kept(), KEY, Watch(), None, Table()), []
        for _ in range(3):
            for at in range(0, number, size):
                before = time.process_time()
                study.take(told[at : at + size], AT_ONCE, told[at].time)
                taken.append((time.process_time() - before) / size * 1e6)
        medians.append(statistics.median(taken))
    return medians


if __name__ == "__main__":
    main()
