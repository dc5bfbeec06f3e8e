"""What is measured: nothing at all (direct), proxies, gateways and Guard in several configurations.

Each answers the same requests for the same upstream, with one worker on one core and no access log. LiteLLM's filter
and ``guard_all_500`` are given the same 500 patterns (texts.SHARED), Guard beside the rules that it ships.
"""

import json
import subprocess
import sys
from pathlib import Path

from peers.install import Absent

from lab.others import Direct, Haproxy, LiteLLM, Nginx, Portkey, VllmRouter
from lab.system import System, free_port, pinned
from lab.texts import SHARED

HERE = Path(__file__).parent
ROOT = HERE.parent.parent

RULES_ON = {
    "screening": {"learned": {"prompts": "off", "outputs": "off"}, "neural": {"scope": "off"}},
    "outputs": {"receipts": False, "fingerprints": False, "behavior": {"mode": "off"}},
    "evidence": {"audit": False},
}
"""Identity, ledger, tier 1, capability surface, metrics."""
EVERYTHING_ON = {"screening": {"neural": {"scope": "off"}}}
"""And tier 2, receipts, fingerprints, behavior over time and the audit chain; not the neural tier, an extra."""
DEFAULTS = {}
"""What a configuration that says nothing gets."""


def merged(*settings):
    """Return the mappings ``settings`` as one, the later ones first."""
    found = {}
    for each in settings:
        for name, value in each.items():
            mine = found.get(name)
            found[name] = merged(mine, value) if isinstance(mine, dict) and isinstance(value, dict) else value
    return found


def configuration(folder, settings, **more):
    """Write a guard.yaml with ``settings`` into ``folder``; return its path."""
    given = {
        "state_dir": str(folder / "state"),
        "models": {"bench": {"license": "llama-2"}, "bench-paced": {"license": "llama-2"}},
    }
    path = folder / "guard.yaml"
    path.write_text(json.dumps(merged(given, settings, more)))
    return path


def pattern_rules(folder):
    """Write the 500 patterns as rules that block, into ``folder``; return the settings that load them."""
    phrases, expressions = SHARED
    rules = {"category": "S2", "rules": [
        {"id": "S2.bench-phrases", "anchors": phrases, "directions": ["prompt", "output"]},
        {"id": "S2.bench-expressions", "patterns": expressions, "directions": ["prompt", "output"]},
    ]}  # fmt: skip
    path = folder / "rules.yaml"
    path.write_text(json.dumps(rules))
    return {"screening": {"rules": [str(path)]}}


class Guard(System):
    """``guard serve`` of this tree, or of the tree at ``tree``, with ``settings`` of guard.yaml."""

    needed = True

    def __init__(self, name, label, settings, *, tree=ROOT, patterns=False):
        super().__init__(name, label)
        self.settings, self.tree, self.patterns = settings, tree, patterns

    def version(self):
        """Return the tree's version and revision."""
        asked = ["git", "-C", str(self.tree), "describe", "--always", "--dirty"]
        done = subprocess.run(asked, capture_output=True, text=True, check=False)
        return done.stdout.strip() or "unknown"

    def command(self, folder, upstream):
        """Listen, with the admin port up as in production."""
        self.admin = free_port()
        where = {
            "upstream": f"http://127.0.0.1:{upstream}",
            "listen": f"127.0.0.1:{self.port}",
            "admin": f"127.0.0.1:{self.admin}",
            "upstream_connections": 2048,  # a thousand streams at once are asked about
        }
        more = pattern_rules(folder) if self.patterns else {}
        path = configuration(folder, merged(self.settings, more), **where)
        # `python -c` imports guard of the tree that PYTHONPATH names first, whichever the environment has installed.
        return [sys.executable, "-c", "from guard.cli.main import main; main()", "serve", "--config", path]

    def environment(self):
        """The tree under test comes first."""
        return {"PYTHONPATH": str(self.tree)}


class Inside(System):
    """An ASGI app that answers by itself under uvicorn, bare or wrapped: in-process as a client sees it."""

    def __init__(self, name, label, settings, *, tree=ROOT):
        super().__init__(name, label)
        self.settings, self.tree = settings, tree

    def command(self, folder, upstream):  # noqa: ARG002 - it answers by itself
        """Run ``inside.py``, with a configuration where there is to be a Guard."""
        path = [] if self.settings is None else [configuration(folder, self.settings)]
        return [sys.executable, HERE / "inside.py", self.port, *path]

    def environment(self):
        """The tree under test comes first, then what inside.py imports."""
        return {"PYTHONPATH": f"{self.tree}:{HERE.parent}"}


def _defaults():
    """Return Guard as it comes: where the neural tier is installed, it is asked about prompts in doubt."""
    guard = Guard("guard_defaults", "Guard, everything on and the neural tier", DEFAULTS)
    guard.every, guard.rate, guard.streams, guard.connections, guard.needed = 2, 25, 4, 2, False
    return guard


def _all():
    return [
        Direct(),
        Nginx(),
        Haproxy(),
        VllmRouter(),
        Portkey(),
        LiteLLM("litellm", "LiteLLM", filtered=False),
        LiteLLM("litellm_filter", "LiteLLM, content filter", filtered=True),
        Guard("guard_rules", "Guard, rules on", RULES_ON),
        Guard("guard_all", "Guard, everything on", EVERYTHING_ON),
        Guard("guard_all_500", "Guard, everything on, 500 patterns", EVERYTHING_ON, patterns=True),
        _defaults(),
        Inside("inside_bare", "uvicorn alone", None),
        Inside("inside_rules", "uvicorn with Guard inside, rules on", RULES_ON),
        Inside("inside_all", "uvicorn with Guard inside, everything on", EVERYTHING_ON),
    ]


NAMES = tuple(system.name for system in _all())
LABELS = {system.name: system.label for system in _all()}


def system(name):
    """Return a fresh system by its name. Raises KeyError."""
    for each in _all():
        if each.name == name:
            return each
    raise KeyError(f"no system is called {name}; there are {', '.join(NAMES)}")


__all__ = ["LABELS", "NAMES", "Absent", "Guard", "System", "configuration", "free_port", "merged", "pinned", "system"]
