"""What console and API tell of a running process: decisions explained, hours, what is due, how every part is."""

import asyncio
import json
import time
from datetime import UTC, date, datetime, timedelta

import pytest
from asgi_world import CONFIG, Inner, chat, guarded

from guard.observability.metrics import exposition
from guard.transports import overview as module
from guard.transports.overview import Overview


@pytest.fixture(autouse=True)
def at_once(monkeypatch):
    monkeypatch.setattr(module, "FOLLOW_SECONDS", 0.0)
    monkeypatch.setattr(module, "DISK_SECONDS", 0.0)


def run(story):
    asyncio.run(story())


def part(runtime, name):
    return next(part for part in runtime.health()["parts"] if part["name"] == name)


def with_settings(text, config=CONFIG):
    """Return the configuration with ``text`` behind it, braces and all."""
    return config + text.replace("{", "{{").replace("}", "}}")


async def train(guard, user="mallory"):
    """Ask for what llama-2 does not allow, and return the reference of the refusal."""
    reply = await guard.post(chat(user=user), headers=[(b"x-guard-purpose", b"train:gemma-2-9b")])
    assert reply.status == 403
    return reply.json["error"]["guard"]["reference"]


def test_a_refusal_is_in_the_hours_among_the_decisions_and_explained(tmp_path):
    async def story():
        async with guarded(tmp_path, Inner()) as guard:
            runtime = guard.runtime
            reference = await train(guard)
            assert runtime.decisions(5)[0]["reference"] == reference  # known at once, from memory
            await runtime.refresh()
            (row,) = runtime.decisions(5)
            assert (row["reference"], row["instance"]) == (reference, "guard-0")
            history = runtime.history()
            assert history["step"] == 3600
            assert history["since"] <= time.time()
            (bucket,) = history["buckets"]
            (count,) = bucket["counts"]
            assert count == {"verdict": "deny", "code": "output_use", "license": "llama-2", "clause": "1.b.v",
                             "category": None, "number": 1}  # fmt: skip
            found = runtime.decision(reference)
            assert (found["entry"]["reference"], found["entry"]["seq"]) == (reference, row["seq"])
            explained = found["explained"]
            assert explained["summary"] == "refused: output use, Llama 2 Community License 1.b.v"
            assert explained["clause"]["license"] == "llama-2"
            assert explained["clause"]["clause"] == "1.b.v"
            assert "may improve another large language model" in explained["clause"]["text"]
            assert explained["clause"]["confirmed"] is True
            assert explained["policy"] == runtime.snapshot.hash
            assert explained["says"][-1] == "refused: output_use, llama-2 1.b.v"
            assert runtime.decision("nobody") is None
            assert runtime.look_up("nobody", lambda: True) is None
            assert runtime.look_up(reference, lambda: True) == found
            assert json.loads(json.dumps(found))

    run(story)


def test_an_answer_without_an_entry_of_its_own_is_found_by_its_receipt(tmp_path):
    async def story():
        async with guarded(tmp_path, Inner()) as guard:
            reply = await guard.post(chat(model="free"))
            reference = reply.headers[b"x-guard-reference"].decode()
            found = None
            for _ in range(200):  # receipts are written behind the answer
                await guard.runtime.refresh()
                found = guard.runtime.look_up(reference, lambda: True)
                if found is not None:
                    break
                await asyncio.sleep(0.05)
            assert found["entry"]["verdict"] == "allow"
            assert [receipt["id"] for receipt in found["explained"]["receipts"]] == [f"r-{reference}-0"]

    run(story)


def test_a_finding_is_explained_with_its_category_and_rule(tmp_path):
    rules = tmp_path / "own.yaml"
    rules.write_text("category: S9\nrules:\n  - {id: S9.recipe, anchors: [nerve agent recipe]}\n", encoding="utf-8")
    config = with_settings(f"screening: {{rules: [{rules}]}}\n")

    async def story():
        async with guarded(tmp_path, Inner(), config) as guard:
            reply = await guard.post(chat("my secret nerve agent recipe"))
            assert reply.status == 403
            await guard.runtime.refresh()
            found = guard.runtime.decision(reply.json["error"]["guard"]["reference"])["explained"]
            assert found["category"] == {"id": "S9", "name": "indiscriminate weapons"}
            assert found["rule"] == "S9.recipe"
            assert found["clause"]["license"] == "llama-2"
            assert found["clause"]["text"]
            (bucket,) = guard.runtime.history()["buckets"]
            assert bucket["counts"][0]["category"] == "S9"

    run(story)


def test_a_request_that_was_turned_away_is_explained_too(tmp_path):
    async def story():
        async with guarded(tmp_path, Inner()) as guard:
            reply = await guard.post(chat(), path="/v1/nothing")
            await guard.runtime.refresh()
            (row,) = guard.runtime.decisions(5)
            explained = guard.runtime.decision(row["reference"])["explained"]
            assert reply.status == 403
            assert explained["summary"] == "refused: surface denied"
            assert (explained["clause"], explained["says"]) == (None, ["refused: surface_denied"])

    run(story)


def test_without_an_audit_log_it_tells_what_the_process_remembers(tmp_path):
    async def story():
        async with guarded(tmp_path, Inner(), with_settings("evidence: {audit: false}\n")) as guard:
            runtime, before = guard.runtime, time.time()
            reference = await train(guard)
            await runtime.refresh()
            history = runtime.history()
            assert [count["number"] for bucket in history["buckets"] for count in bucket["counts"]] == [1]
            assert history["since"] <= before
            assert runtime.decision(reference)["entry"]["reference"] == reference
            assert runtime.export_checks() == []
            assert part(runtime, "audit")["state"] == "off"
            assert b"guard_audit_" not in samples(runtime)

    run(story)


def test_siblings_on_one_state_directory_are_seen(tmp_path):
    async def story():
        (tmp_path / "two").mkdir()
        shared = CONFIG.replace("{state}", str(tmp_path / "shared"))
        async with guarded(tmp_path, Inner(), shared) as one, guarded(tmp_path / "two", Inner(), shared) as two:
            references = {await train(one), await train(two)}
            two.runtime.stores.journal.flush()
            await one.runtime.refresh()
            assert {row["reference"] for row in one.runtime.decisions(5)} == references
            assert {row["instance"] for row in one.runtime.decisions(5)} == {"guard-0", "guard-1"}

    run(story)


def test_files_are_read_no_more_often_than_is_said(tmp_path, monkeypatch):
    monkeypatch.setattr(module, "FOLLOW_SECONDS", 3600.0)

    async def story():
        async with guarded(tmp_path, Inner()) as guard:
            looked = []
            monkeypatch.setattr(Overview, "_refresh", lambda self, config: looked.append(config))
            await asyncio.gather(*(guard.runtime.refresh() for _ in range(5)))
            assert len(looked) == 1

    run(story)


def test_a_look_that_fails_leaves_what_was_known(tmp_path, monkeypatch, caplog):
    async def story():
        async with guarded(tmp_path, Inner()) as guard:
            await train(guard)
            await guard.runtime.refresh()

            def broken(*_):
                raise OSError("no")

            monkeypatch.setattr(module.disk, "look", broken)
            await guard.runtime.refresh()
            assert len(guard.runtime.decisions(5)) == 1
            assert "could not be brought up to date" in caplog.text

    run(story)


def samples(runtime):
    return b"\n".join(line for line in exposition(runtime.registry).splitlines() if not line.startswith(b"#"))


def test_every_part_says_how_it_is(tmp_path):
    async def story():
        async with guarded(tmp_path, Inner()) as guard:
            runtime = guard.runtime
            await guard.post(chat())
            await runtime.refresh()
            parts = {part["name"]: part for part in runtime.health()["parts"]}
            states = {name: part["state"] for name, part in parts.items()}
            assert states == {
                "ledger": "ok", "spool": "ok", "audit": "ok", "heads": "off", "index": "ok", "signing": "ok",
                "policy": "ok", "judge": "off", "behavior": "ok", "candidate": "off",
            }  # fmt: skip
            assert all(part["detail"] for part in parts.values())
            assert parts["ledger"]["facts"]["store"] == "sqlite"
            assert parts["audit"]["facts"]["length"] >= 2
            assert parts["index"]["facts"]["segments"] == 1
            assert parts["index"]["facts"]["bytes"] > 0
            assert parts["signing"]["facts"]["key"] == runtime.stores.signer.id
            assert parts["policy"]["facts"]["hash"] == runtime.snapshot.hash
            assert all(
                isinstance(fact, int | float | str) for part in parts.values() for fact in part["facts"].values()
            )

    run(story)


def test_what_is_wrong_with_a_part_is_said(tmp_path):
    async def story():
        async with guarded(tmp_path, Inner()) as guard:
            runtime = guard.runtime
            runtime.stores.journal.damage = "guard-0.jsonl:7: the entry was changed after it was written"
            assert part(runtime, "audit")["state"] == "bad"
            assert "guard-0.jsonl:7" in part(runtime, "audit")["detail"]
            assert b"guard_audit_chain_intact 0.0" in samples(runtime)
            runtime.stores.journal.damage = None
            runtime.stores.journal.refused = 3
            assert part(runtime, "audit")["state"] == "warn"
            runtime.stores.recorder.writer.tally.drop(2)
            assert part(runtime, "index")["detail"].startswith("2 answers were left out")
            runtime.active.checked -= 3600
            assert part(runtime, "policy")["state"] == "bad"
            assert "were not compared for 3,600 s" in part(runtime, "policy")["detail"]
            (tmp_path / "guard.yaml").write_text("models: 7\n", encoding="utf-8")
            await runtime.reload()
            assert part(runtime, "policy")["detail"] == "the files are bad: the last good policy stays in force"

    run(story)


def test_metrics_say_what_the_process_stands_on(tmp_path, monkeypatch):
    monkeypatch.setattr("guard.transports.runtime.WATCH_SECONDS", 0.02)

    async def story():
        heads = tmp_path / "heads.jsonl"
        config = with_settings(f"evidence: {{heads: [{{file: {heads}}}]}}\n")
        async with guarded(tmp_path, Inner(), config) as guard:
            runtime = guard.runtime
            for _ in range(200):
                if b"\nguard_audit_head_sent_timestamp_seconds " in samples(runtime):
                    break
                await asyncio.sleep(0.05)
            lines = {line.rpartition(b" ")[0].decode(): float(line.rpartition(b" ")[2])
                     for line in samples(runtime).splitlines()}  # fmt: skip
            assert lines["guard_audit_chain_intact"] == lines["guard_audit_writable"] == lines["guard_index_up"] == 1
            assert lines["guard_audit_refused_total"] == lines["guard_audit_head_failures_total"] == 0
            assert abs(time.time() - lines["guard_audit_head_sent_timestamp_seconds"]) < 60
            assert abs(time.time() - lines["guard_policy_checked_timestamp_seconds"]) < 60
            runtime.stores.journal.refused = 5
            for _ in range(200):
                if b"guard_audit_refused_total 0.0" not in samples(runtime):
                    break
                await asyncio.sleep(0.05)
            await asyncio.sleep(0.05)
            assert b"guard_audit_refused_total 5.0" in samples(runtime)  # once, however often it is looked
            assert part(runtime, "heads")["state"] == "ok"

    run(story)


def test_no_series_where_a_feature_is_off(tmp_path):
    async def story():
        async with guarded(tmp_path, Inner(), with_settings("outputs: {receipts: false}\n")) as guard:
            found = samples(guard.runtime)
            assert b"guard_index_up" not in found
            assert b"guard_audit_head" not in found
            assert b"guard_license_attestation_expires" not in found
            assert b"guard_license_forecast_days" not in found

    run(story)


def test_the_watch_has_a_heartbeat(tmp_path):
    async def story():
        async with guarded(tmp_path, Inner()) as guard:
            active = guard.runtime.active
            active.checked = 0.0
            assert not active.changed()
            assert abs(time.time() - active.checked) < 60

    run(story)


def due(runtime, word):
    return [item for item in runtime.due() if word in item["what"]]


def test_what_is_owed_comes_with_a_state_a_day_and_what_to_do(tmp_path):
    today = datetime.now(UTC).date()
    soon, far = today + timedelta(days=5), today + timedelta(days=200)
    served = CONFIG.replace("models:\n", "models:\n  falcon: {{license: falcon-180b}}\n")
    config = with_settings(
        f"shadows:\n  - {{category: S5, owner: safety@example.org, expires: {soon}, reason: tried out}}\n"
        f"  - {{category: S6, owner: safety@example.org, expires: {today - timedelta(days=1)}, reason: tried out}}\n"
        f"operator:\n  statements:\n    - {{license: falcon-180b, about: hosting, says: none, "
        f"owner: legal@example.org, expires: {far}}}\n"
        "outputs: {keep_months: 3}\n",
        served,
    )

    async def story():
        async with guarded(tmp_path, Inner(), config) as guard:
            runtime = guard.runtime
            await runtime.refresh()
            rows = runtime.due()
            order = ["overdue", "soon", "open", "met"]
            assert [row["state"] for row in rows] == sorted((row["state"] for row in rows), key=order.index)
            (attestation,) = due(runtime, "nobody attested")
            assert attestation["license"] == "llama-2"
            assert attestation["state"] == "open"
            assert attestation["how"].startswith("guard usage attest --license llama-2 --threshold ")
            (shadow,) = due(runtime, "shadow of category")  # the other one is over, and enforced again
            assert (shadow["state"], shadow["by"]) == ("soon", soon.isoformat())
            (statement,) = due(runtime, "stated about hosting")
            assert (statement["state"], statement["by"]) == ("met", far.isoformat())
            (month,) = due(runtime, "is shredded")
            assert month["state"] == "met"
            assert date.fromisoformat(month["by"]) > today + timedelta(days=80)
            assert all(row["how"] for row in rows)
            assert set(rows[0]) == {"what", "license", "clause", "by", "state", "how"}

    run(story)
