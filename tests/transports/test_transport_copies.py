"""Copies of the index, with its keys, give on another machine the verdict that the index gives where it was written."""

import asyncio
import copy
import json
import random
import shutil
import time

import pytest
from asgi_world import ANSWER, CONFIG, Inner, chat, guarded

from guard.cli.main import run
from guard.provenance.layout import Layout

COMMANDS = {
    "in months": '[install, -D, -m, "600", "{{file}}", "{store}/{{month}}/{{name}}"]',
    "in one directory": '[cp, "{{file}}", "{store}/{{month}}-{{name}}"]',
}
MONTH = len("2026-11")


def prose(seed, words=80):
    chance = random.Random(seed)
    return " ".join("".join(chance.choices("abcdefghijklmnop", k=6)) for _ in range(words))


def until(true, seconds=20.0):
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline, "did not come true"
        time.sleep(0.01)


class Machines:
    """A gateway on one machine, what its ``outputs.upload`` copied, and another machine that has that and the keys."""

    def __init__(self, directory, capsys, command):
        self.directory, self.capsys, self.flat = directory, capsys, "{{month}}-" in command
        self.store, self.elsewhere = directory / "store", directory / "elsewhere"
        self.store.mkdir()
        self.config = CONFIG + f"outputs: {{{{upload: {command}}}}}\n"
        self.data = directory / "data.jsonl"

    def answering(self, text):
        answer = copy.deepcopy(ANSWER)
        answer["choices"][0]["message"]["content"] = text
        return guarded(self.directory, Inner(answer), self.config, store=self.store)

    def fetch(self):
        """Make the state directory of the other machine: the copies in the directories of their months, and the keys."""
        shutil.rmtree(self.elsewhere, ignore_errors=True)
        here, there = Layout(self.directory / "state"), Layout(self.elsewhere)
        if self.flat:
            for path in self.store.iterdir():
                (there.provenance / path.name[:MONTH]).mkdir(parents=True, exist_ok=True)
                shutil.copy(path, there.provenance / path.name[:MONTH] / path.name[MONTH + 1 :])
        else:
            shutil.copytree(self.store, there.provenance)
        shutil.copy(here.key, there.key)
        shutil.copytree(here.keys, there.keys)

    def check(self, state, *texts):
        """Return exit code and statement of a check of ``texts`` with the index of a machine."""
        self.data.write_text("".join(json.dumps({"completion": text}) + "\n" for text in texts))
        code = run(["export", "check", str(self.data), "--target", "mistralai/Mistral-7B-v0.1", "--state", str(state),
                    "--json"])  # fmt: skip
        return code, json.loads(self.capsys.readouterr().out)

    def both(self, *texts):
        return self.check(self.directory / "state", *texts), self.check(self.elsewhere, *texts)


@pytest.fixture(params=COMMANDS)
def machines(request, tmp_path, capsys, monkeypatch):
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("GUARD_CONFIG", raising=False)
    return Machines(tmp_path, capsys, COMMANDS[request.param])


def answered(statement):
    return sum(month["answered"] for index in statement["coverage"]["indexes"] for month in index["months"].values())


@pytest.mark.slow
def test_copies_with_the_keys_give_the_same_verdict_but_for_what_is_still_being_written(machines):
    first, second, strange = prose(1), prose(2), prose(3)

    async def answer(text, then=lambda: None):
        async with machines.answering(text) as guard:
            assert (await guard.post(chat())).status == 200
            tally = guard.runtime.stores.recorder.writer.tally
            await asyncio.to_thread(until, lambda: tally.written == 1)
            return await asyncio.to_thread(then)

    asyncio.run(answer(first))  # its segment is over when it stops, and copied
    machines.fetch()
    for texts, code in (([first, strange], 2), ([strange], 0)):
        here, there = machines.both(*texts)
        assert here[0] == there[0] == code
        for fact in ("verdict", "records", "found", "share", "coverage", "hits"):
            assert here[1][fact] == there[1][fact]
    assert there[1]["coverage"]["complete"]

    def while_it_is_written():
        machines.fetch()
        return machines.both(second), machines.both(first)

    written, copied = asyncio.run(answer(second, while_it_is_written))
    (here, facts_here), (there, facts_there) = written
    assert (here, there) == (2, 0)  # the segment that is being written has no copy,
    assert (answered(facts_here), answered(facts_there)) == (2, 1)
    assert facts_there["coverage"]["complete"]  # and no other segment names it yet: the copies cannot miss it
    assert [code for code, _ in copied] == [2, 2]

    machines.fetch()  # it is over
    (here, facts_here), (there, facts_there) = machines.both(second)
    assert here == there == 2
    assert facts_here["coverage"] == facts_there["coverage"]
    assert answered(facts_there) == 2


@pytest.mark.slow
def test_copies_are_worth_nothing_without_the_keys(machines):
    async def answer():
        async with machines.answering(prose(1)) as guard:
            assert (await guard.post(chat())).status == 200

    asyncio.run(answer())
    machines.fetch()
    there = Layout(machines.elsewhere)
    shutil.rmtree(there.keys)
    code, statement = machines.check(machines.elsewhere, prose(1))
    assert (code, statement["found"]["records"]) == (3, 0)
    assert any("the key of the month is missing" in gap for gap in statement["coverage"]["gaps"])
    there.key.unlink()
    assert run(["export", "check", str(machines.data), "--target", "x", "--state", str(machines.elsewhere)]) == 78
