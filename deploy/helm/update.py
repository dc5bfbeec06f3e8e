"""Bring what the chart has copies of up to date: rules, dashboard, settings read at the start, version, README table.

``python deploy/helm/update.py`` writes; with ``--check`` it only names what is out of date, and exits with 1.
"""

import re
import sys
from collections.abc import Iterator
from pathlib import Path

import yaml

import guard
from guard.policy.watch import STARTING

CHART = Path(__file__).parent / "guard"
DEPLOY = CHART.parent.parent
BEGIN, END = "<!-- values: made by update.py -->\n", "<!-- end of values -->\n"


def current() -> Iterator[tuple[Path, str]]:
    """Every file that is made, with the text that it should have."""
    for rules in sorted((DEPLOY / "prometheus").glob("guard-*.yml")):
        yield CHART / "files" / "rules" / rules.name, rules.read_text(encoding="utf-8")
    yield CHART / "files" / "guard.json", (DEPLOY / "grafana" / "guard.json").read_text(encoding="utf-8")
    yield CHART / "files" / "starting.txt", "\n".join(STARTING)
    chart = (CHART / "Chart.yaml").read_text(encoding="utf-8")
    yield CHART / "Chart.yaml", re.sub(r"(?m)^appVersion: .*$", f"appVersion: {guard.__version__}", chart)
    readme = (CHART / "README.md").read_text(encoding="utf-8")
    before, _, rest = readme.partition(BEGIN)
    values = (CHART / "values.yaml").read_text(encoding="utf-8")
    yield CHART / "README.md", before + BEGIN + "\n".join(table(values)) + "\n" + END + rest.partition(END)[2]


def stale() -> list[Path]:
    """Files that are made from something and no longer there."""
    copied = {rules.name for rules in (DEPLOY / "prometheus").glob("guard-*.yml")}
    return [path for path in sorted((CHART / "files" / "rules").iterdir()) if path.name not in copied]


def table(values: str) -> Iterator[str]:
    """The rows for every value with a comment that begins with two dashes; raises ValueError for one without.

    The comment is the line before; the default is read from the text below it, so that it is what Helm reads.
    """
    data = yaml.safe_load(values)
    yield "| value | default | what |"
    yield "| --- | --- | --- |"
    path: list[str] = []
    said = ""
    documented: set[str] = set()
    for line in values.splitlines():
        if comment := re.match(r" *# -- (.*)$", line):
            said = comment[1]
            continue
        if not (name := re.match(r"( *)([A-Za-z]+):", line)):
            continue
        path = [*path[: len(name[1]) // 2], name[2]]
        if said:
            default: object = data
            for part in path:
                default = default[part]  # type: ignore[index]  # a path that was just read
            documented.add(".".join(path))
            yield f"| `{'.'.join(path)}` | {_shown(default)} | {said} |"
            said = ""
    if missing := [leaf for leaf in leaves(data) if not any(_within(leaf, each) for each in documented)]:
        raise ValueError(f"values without a comment: {', '.join(missing)}")


def leaves(data: object, path: str = "") -> Iterator[str]:
    """The dotted names of all values that are no mapping with something in it."""
    if isinstance(data, dict) and data:
        for key, value in data.items():
            yield from leaves(value, f"{path}.{key}" if path else key)
    else:
        yield path


def _within(leaf: str, documented: str) -> bool:
    return leaf == documented or leaf.startswith(documented + ".")


def _shown(default: object) -> str:
    if default is None or default == "":
        return ""
    flow = yaml.safe_dump(default, default_flow_style=True, width=10_000, sort_keys=False).strip()
    return f"`{flow.removesuffix('...').strip()}`"


def main() -> int:
    """Write, or with ``--check`` only compare."""
    checking = sys.argv[1:] == ["--check"]
    found = 0
    for path, text in current():
        if not path.is_file() or path.read_text(encoding="utf-8") != text:
            found += 1
            print(f"{path.relative_to(DEPLOY.parent)}: {'out of date' if checking else 'written'}")
            if not checking:
                path.parent.mkdir(parents=True, exist_ok=True)
                path.write_text(text, encoding="utf-8")
    for path in stale():
        found += 1
        print(f"{path.relative_to(DEPLOY.parent)}: {'made from nothing' if checking else 'removed'}")
        if not checking:
            path.unlink()
    return 1 if checking and found else 0


if __name__ == "__main__":
    sys.exit(main())
