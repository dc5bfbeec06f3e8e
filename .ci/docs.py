"""mkdocs hook: a page per license pack, made from the pack, and an index of them. Nothing of it is kept in a file."""

from collections.abc import Iterator
from typing import Any

from mkdocs.structure.files import File, Files

from guard.cli.policy.description import established, threshold_line
from guard.cli.policy.page import page
from guard.policy.packs import shipped_packs


def on_config(config: Any) -> Any:
    """Put the pages into the navigation, behind the entry that names their index."""
    for section in config.nav:
        for entry in next(iter(section.values())) if isinstance(section, dict) else ():
            if isinstance(entry, dict) and entry.get("Packs") == []:
                entry["Packs"] = [{"All licenses": "packs/index.md"}]
                entry["Packs"] += [{item.id: f"packs/{item.id}.md"} for item in shipped_packs().values()]
    return config


def on_files(files: Files, config: Any) -> Files:
    """Add the pages."""
    packs = shipped_packs()
    files.append(File.generated(config, "packs/index.md", content="\n".join(_index()) + "\n"))
    for license_ in packs.values():
        content = "\n".join(page(license_, packs)) + "\n"
        files.append(File.generated(config, f"packs/{license_.id}.md", content=content))
    return files


def _index() -> Iterator[str]:
    yield "# License packs"
    yield ""
    yield f"{len(shipped_packs())} license texts as data, a page each, made from the packs that ship with Guard."
    yield ""
    yield "| license | name | thresholds | training on outputs | established |"
    yield "| --- | --- | --- | --- | --- |"
    for item in shipped_packs().values():
        limits = "<br>".join(threshold_line(part).replace("<", "&lt;") for part in item.thresholds) or "-"
        rule = item.output_use.rule.value.replace("_", " ")
        yield f"| [{item.id}]({item.id}.md) | {item.name} | {limits} | {rule} | {established(item.status.value)} |"
