"""``benchmarks/results/NAME.json``: what a question found, and on what."""

import json
import platform
import subprocess
from datetime import UTC, datetime
from pathlib import Path

from lab.machine import busy, describe

ROOT = Path(__file__).parent.parent.parent
RESULTS = ROOT / "benchmarks" / "results"


def revision():
    """Return the revision that is measured; "-dirty" where files differ from it."""
    asked = ["git", "-C", str(ROOT), "describe", "--always", "--dirty", "--exclude=*"]
    done = subprocess.run(asked, capture_output=True, text=True, check=False)
    return done.stdout.strip() or "unknown"


class Result:
    """One question's answer: made before the measuring, so that it notes how busy the machine was then."""

    def __init__(self, name, question):
        self.content = {
            "name": name,
            "question": question,
            "taken": datetime.now(UTC).strftime("%Y-%m-%d"),
            "revision": revision(),
            "machine": describe(),
            "versions": {"python": platform.python_version()},
            "settings": {},
            "absent": {},
            "figures": {},
            "ratios": {},
        }

    def write(self, path=None):
        """Write it to ``path``, by default where the docs are made from. Returns the path."""
        self.content["machine"]["busy_after"] = busy()
        path = path or RESULTS / f"{self.content['name']}.json"
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_text(json.dumps(self.content, indent=1, ensure_ascii=False) + "\n", encoding="utf-8")
        return path


def read(name, folder=RESULTS):
    """Return the content of a result, or None where the question was not asked yet."""
    path = folder / f"{name}.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else None


def read_all(folder=RESULTS):
    """Return every result by name."""
    return {path.stem: json.loads(path.read_text(encoding="utf-8")) for path in sorted(folder.glob("*.json"))}
