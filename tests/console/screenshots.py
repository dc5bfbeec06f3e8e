"""Writes the pictures of docs/console.md: `make screenshots`.

A real ``guard serve`` of the demo, with real traffic, on top of two months of users and a week of decisions that are
made up and written by Guard's own ledger and journal before it starts.
"""

import random
import sys
import tempfile
import time
from datetime import UTC, datetime, timedelta
from pathlib import Path

from console_stage import chromium, guarded, log_in, traffic

from guard.evidence.chain import Journal
from guard.usage.address import open_ledger, sqlite_url
from guard.usage.ledger import Scope

IMAGES = Path(__file__).parents[2] / "docs" / "images"
LARGEST = 200_000
"""Bytes of one picture."""
LIMIT = 60_000
SHOTS = {
    "overview": "/",
    "decisions": "/decisions?span=week",
    "decision": "/decisions/{reference}",
    "policy": "/policy",
}
KINDS = (
    ("deny", "aup", "AUP 3.a", "S2", 5), ("deny", "aup", "AUP 2.c", "S9", 2), ("deny", "aup", "AUP 2.b", "S1", 2),
    ("deny", "field_denied", "1.b.v", None, 3), ("flag", None, "AUP 4", "S6", 4),
)  # fmt: skip


def users_of_two_months(folder, now):
    """A quick first week of each month, then ever fewer newcomers, as months of users grow."""
    ledger = open_ledger(sqlite_url(folder / "state" / "ledger.db"))
    ledger.bind("UTC")
    day, number = datetime.fromtimestamp(now, UTC).date() - timedelta(days=50), 0
    chance = random.Random(7)
    while day < datetime.fromtimestamp(now, UTC).date():
        many = int(7_000 / day.day**0.62 * chance.uniform(0.85, 1.15)) + 300
        start = int(number * 0.35) if day.day == 1 else number
        month = Scope(f"{day:%Y-%m}", "qwen-2024")
        ledger.write({month: range(start, start + many)}, {}, owner="past", day=day.isoformat())
        number = start + many
        day += timedelta(days=1)
    ledger.close()


def decisions_of_a_week(folder, now):
    """Refusals and notes by the hour, more of them by day than by night."""
    chance = random.Random(7)
    at = [now - 7 * 86400.0]
    journal = Journal(folder / "state" / "audit", instance="gateway-1", clock=lambda: at[0])
    journal.start()
    for hour in range(7 * 24, 0, -1):
        at[0] = now - hour * 3600
        for verdict, code, clause, category, weight in KINDS:
            daily = 1.6 if 7 <= datetime.fromtimestamp(at[0], UTC).hour <= 20 else 0.5
            for _ in range(int(chance.uniform(0, weight) * daily)):
                cited = {"license": "llama-2", "clause": clause, "category": category}
                found = {"rule": f"{category}.past", "action": "flag", "direction": "prompt", "source": "user", **cited}
                facts = {
                    "reference": f"{chance.getrandbits(80):020x}", "verdict": verdict, "surface": "chat", "model": "demo-llama-2",
                    "ending": "refused" if code else "served", "licenses": ["llama-2"], "policy": "", "mode": "enforce",
                    "refused": {"code": code, **cited} if code else None, "shadowed": [], "not_evaluated": [], "obligations": [],
                    "findings": [] if code else [found],
                }  # fmt: skip
                journal.append("decision", facts)
    journal.close()


def shoot(images):
    """Write every page in both schemes into ``images``; raises AssertionError if one is larger than allowed."""
    images.mkdir(exist_ok=True)
    now = time.time()
    with tempfile.TemporaryDirectory(prefix="guard-console-") as name:
        folder = Path(name)
        users_of_two_months(folder, now)
        decisions_of_a_week(folder, now)
        usage = {"limits": {"qwen-2024": LIMIT}, "at_limit": "observe"}
        with guarded(folder, usage=usage) as stage, chromium() as browser:
            reference = traffic(stage)
            time.sleep(8)  # the audit log is followed, and the forecast made, behind what is served
            for scheme in ("light", "dark"):
                page = browser.new_page(color_scheme=scheme, viewport={"width": 1200, "height": 820})
                page.goto(f"{stage.admin}/login")
                write(page, images / f"console-login-{scheme}.png", {"x": 300, "y": 0, "width": 600, "height": 430})
                log_in(page, stage.admin)
                for shot, path in SHOTS.items():
                    page.goto(stage.admin + path.format(reference=reference))
                    write(
                        page, images / f"console-{shot}-{scheme}.png", {"x": 0, "y": 0, "width": 1200, "height": 1180}
                    )
                page.set_viewport_size({"width": 390, "height": 844})
                page.goto(stage.admin)
                write(page, images / f"console-phone-{scheme}.png", {"x": 0, "y": 0, "width": 390, "height": 1300})
                page.close()


def write(page, file, clip):
    """Take a picture of a part of the page."""
    page.screenshot(path=file, full_page=True, clip=clip)
    size = file.stat().st_size
    assert size < LARGEST, f"{file}: {size} bytes; allowed: {LARGEST}"
    sys.stdout.write(f"{file.name} {size:,} bytes\n")


if __name__ == "__main__":
    shoot(IMAGES)
