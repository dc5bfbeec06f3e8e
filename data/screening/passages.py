# ruff: noqa: INP001 - a script's other half beside its data, no package
"""What harvest.py reads: archives of packages, and the passages of text and code in them."""

import ast
import bz2
import gzip
import json
import re
import subprocess
import tarfile
import zipfile
from collections.abc import Iterator
from hashlib import blake2b
from html.parser import HTMLParser
from io import BytesIO
from pathlib import Path
from textwrap import fill
from typing import NamedTuple
from urllib.parse import unquote

HERE = Path(__file__).parent
REGION = 24_000
"""Characters of one file that go to the same split; 24 KB of a book are a chapter."""


class Source(NamedTuple):
    """Files of one archive that are read the same way."""

    kind: str
    archive: str
    package: str
    licence: str
    paths: str
    form: str


def sources() -> list[Source]:
    """Return the rows of sources.txt."""
    lines = (HERE / "sources.txt").read_text(encoding="utf-8").splitlines()
    return [Source(*line.split()) for line in lines if line and not line.startswith("#")]


class Passage(NamedTuple):
    """A run of blocks (paragraphs, functions) of one file, in order, all of them of one split."""

    source: Source
    origin: str
    name: str
    blocks: tuple[str, ...]


def files(archive: Path, wanted: re.Pattern[str]) -> Iterator[tuple[str, bytes]]:
    """Yield the names and contents of the files of a .deb, wheel, sdist or npm archive whose names ``wanted`` finds."""
    if archive.suffix == ".whl":
        with zipfile.ZipFile(archive) as wheel:
            for name in filter(wanted.search, wheel.namelist()):
                yield name, wheel.read(name)
        return
    if archive.suffix == ".deb":
        command = ["dpkg-deb", "--fsys-tarfile", str(archive)]
        stream = BytesIO(subprocess.run(command, check=True, capture_output=True).stdout)  # noqa: S603 - a constant
    else:
        stream = BytesIO(archive.read_bytes())
    with tarfile.open(fileobj=stream) as tar:
        for member in tar:
            if member.isfile() and wanted.search(member.name) and (content := tar.extractfile(member)) is not None:
                yield member.name.removeprefix("./"), content.read()


def plain(name: str, content: bytes) -> str | None:
    """Return the text of a file that may be compressed, or None if it is no UTF-8 text."""
    if name.endswith(".gz"):
        content = gzip.decompress(content)
    elif name.endswith(".bz2"):
        content = bz2.decompress(content)
    try:
        return content.decode("utf-8").replace("\r\n", "\n").lstrip("\ufeff")
    except UnicodeDecodeError:
        return None


class Reader(HTMLParser):
    """The running text of a page: paragraphs, list items, headings and preformatted blocks."""

    BLOCKS = frozenset(("p", "li", "h1", "h2", "h3", "h4", "h5", "pre", "dt", "dd", "tr", "div", "section"))
    SILENT = frozenset(("script", "style", "nav", "head", "header", "footer", "form", "svg", "button", "title"))

    def __init__(self) -> None:
        super().__init__()
        self.parts: list[str] = []
        self._silent = self._verbatim = 0

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        """Begin a block, or a part that nobody reads."""
        del attrs
        self._silent += tag in self.SILENT
        self._verbatim += tag == "pre"
        if tag in self.BLOCKS and not (self._verbatim and tag != "pre"):
            self.parts.append("\n\n")

    def handle_endtag(self, tag: str) -> None:
        """End what handle_starttag began."""
        self._silent -= tag in self.SILENT and self._silent > 0
        self._verbatim -= tag == "pre" and self._verbatim > 0
        if tag in self.BLOCKS:
            self.parts.append("\n\n")

    def handle_data(self, data: str) -> None:
        """Keep text, with spaces squeezed outside of preformatted blocks."""
        if not self._silent:
            self.parts.append(data if self._verbatim else re.sub(r"\s+", " ", data))


def html(text: str) -> list[str]:
    """Return the blocks of a page."""
    reader = Reader()
    reader.feed(text)
    return blocks("".join(reader.parts))


def rst(text: str) -> list[str]:
    """Return the blocks of a reStructuredText or Markdown page without its directives, targets and roles."""
    text = re.sub(r"^\s*\.\. (?!code)[^\n]*\n(?:[ \t]+:[^\n]*\n)*", "", text, flags=re.MULTILINE)
    text = re.sub(r"^\s*\.\. code\S* ?[^\n]*\n(?:[ \t]+:[^\n]*\n)*", "\n", text, flags=re.MULTILINE)
    text = re.sub(r":[\w:+-]+:`!?~?([^`<]+?)(?: ?<[^`>]*>)?`", r"\1", text)
    return blocks(re.sub(r"`([^`<]+) <[^`>]+>`__?", r"\1", text))


def roff(text: str) -> list[str]:
    """Return the blocks of a manual page; macro names are dropped, their arguments kept."""
    lines, filled = [], True
    for raw in text.splitlines():
        line = raw
        if line.startswith((".nf", ".fi", ".Bd", ".Ed", ".EX", ".EE")):
            filled = line.startswith((".fi", ".Ed", ".EE"))
            lines.append("")
        if line.startswith(('.\\"', "'\\\"", ".de", ".ie", ".el", ".if", ".nr", ".ds", ".TH", ".Dd", ".Os", ".\\}")):
            continue
        if line.startswith((".PP", ".Pp", ".SH", ".Sh", ".SS", ".Ss", ".TP", ".It", ".IP", ".sp", ".P")):
            lines.append("")
        if line.startswith((".", "'")):
            line = " ".join(word for word in line.split()[1:] if not re.fullmatch(r"[A-Z][a-z]|N?[oS]|[\d.]+n?", word))
        lines.append("" if filled else "\t")
        lines[-1] += (
            re.sub(r"\\f[A-Z(]B?|\\&|\\s[-+]?\d|\\c$|\\\|", "", line)
            .replace("\\-", "-")
            .replace("\\(aq", "'")
            .replace("\\e", "\\")
        )
    found = (block if "\t" in block else fill(block, 80) for block in blocks("\n".join(lines)))
    return [block.replace("\t", "") for block in found if "\\" not in block]


def strings(text: str) -> list[str]:
    """Return the docstrings and long texts of a Python module."""
    found = []
    for node in ast.walk(ast.parse(text)):
        if (
            isinstance(node, ast.Constant)
            and isinstance(node.value, str)
            and len(node.value) > 70
            and " " in node.value
        ):
            lines = node.value.strip().splitlines()
            found += blocks("\n".join(line.removeprefix("    ").removeprefix("    ") for line in lines))
    return list(dict.fromkeys(block for block in found if "__ext" not in block))


def service(text: str) -> list[str]:
    """Return the documentation of the operations and shapes of an AWS service model."""
    model = json.loads(text)
    shapes = [*model["operations"].values(), *model["shapes"].values()]
    members = [member for shape in shapes for member in shape.get("members", {}).values() if isinstance(member, dict)]
    texts = [model.get("documentation", "")] + [item.get("documentation", "") for item in shapes + members]
    return list(dict.fromkeys(block for text in texts if len(text) > 60 for block in html(text)))


def glosses(text: str) -> list[str]:
    """Return the definitions in a WordNet data file with the words they define."""
    found = []
    for line in text.splitlines():
        if " | " in line and not line.startswith(" "):
            words, gloss = line.split(" | ", 1)
            found.append(f"{words.split()[4].replace('_', ' ')}: {gloss.strip()}")
    return found


def notebook(text: str) -> list[str]:
    """Return the text, code and text output of a notebook's cells."""
    found = []
    for cell in json.loads(text)["cells"]:
        found += blocks("".join(cell["source"]))
        for output in cell.get("outputs", ()):
            found += blocks("".join(output.get("text", output.get("data", {}).get("text/plain", ()))))
    return found


def blocks(text: str) -> list[str]:
    """Return the paragraphs of ``text``; what stands between blank lines."""
    kept = (re.sub(r"[ \t]+$", "", block, flags=re.MULTILINE).strip("\n") for block in re.split(r"\n[ \t]*\n+", text))
    return [block for block in kept if block.strip()]


FORMS = {
    "text": blocks,
    "html": html,
    "rst": rst,
    "roff": roff,
    "strings": strings,
    "service": service,
    "glosses": glosses,
    "notebook": notebook,
}

UNFIT = re.compile(
    r"nigg|fagg|kike|\bslut|\bwhore|\bporn|\braped?\b|obscene|vulgar|ethnic slur|sexual inter|prostitut"
    r"|copyright \(c\)|spdx-|all rights reserved|redistribution and use|permission is hereby|-----begin"
    r"|`_ .*`_ .*`_ |^:(?:param|returns?|r?type)|asynchronous\w* (?:lists|streams)|page_size|executed immediately"
    r"|returning all element names|generator stream"
    r"|^table of contents|return response metadata|according to specification, with|[\ue000-\uf8ff\0]",
    re.IGNORECASE | re.MULTILINE,
)
"""Words a benign row should not rest on, license boilerplate, keys, generated phrases, and what is no text."""
MAIL = re.compile(r"[\w.+-]+@[\w-]+(?:\.[\w-]+)+")
KEY = re.compile(r"\b(?:sk|pk|rk|whsec|AKIA|ghp|xox[bp])[_-]?(?:test|live)?[_-]?[A-Za-z0-9]{16,}")


def fit(block: str) -> bool:
    """Return whether a block may stand in a row."""
    if UNFIT.search(block) or max(map(len, block.splitlines())) > 1200:
        return False
    odd = sum(ord(character) > 0x24F for character in block)
    return odd * 20 <= len(block) and sum(map(str.isalpha, block)) * 3 >= len(block)


def clean(block: str) -> str:
    """Return ``block`` without addresses of people and without things that look like credentials."""
    return KEY.sub("KEY", MAIL.sub("user@example.com", block)).expandtabs(4)


def passages(folder: Path) -> Iterator[Passage]:
    """Yield the passages of every source, in a fixed order; what an earlier one holds is left out of a later one."""
    seen: set[bytes] = set()
    for group, package in sorted({(source.archive, source.package) for source in sources()}):
        wanted = [
            (source, re.compile(source.paths))
            for source in sources()
            if (source.archive, source.package) == (group, package)
        ]
        stem = re.sub(r"[-_.]", "[-_.]", package)
        archive = next(
            path
            for path in sorted((folder / group).iterdir())
            if re.match(rf"{stem}[-_]v?\d", path.name, re.IGNORECASE)
        )
        version = unquote(
            re.sub(rf"^{stem}[-_]|(?:\.tar\.gz|\.tgz|-(?:py|cp)\d.*|_(?:all|amd64)\.deb)$", "", archive.name)
        )
        for name, content in files(archive, re.compile("|".join(f"(?:{source.paths})" for source, _ in wanted))):
            source = next(source for source, paths in wanted if paths.search(name))
            text = plain(name, content)
            if not text or "\0" in text:
                continue
            if source.form == "text" and max(map(len, text.splitlines()), default=0) > 2000:
                continue  # minified
            origin, region, size = f"{package} {version}: {name}", [], 0
            for number, block in enumerate(FORMS[source.form](text)):
                size += len(block)
                again = blake2b(block.strip().encode(), digest_size=8).digest()
                region.append(clean(block) if fit(block) and again not in seen else "")
                if len(block) > 60:
                    seen.add(again)
                if size > REGION:
                    yield Passage(source, origin, f"{name}#{number}", tuple(region))
                    region, size = [], 0
            yield Passage(source, origin, name, tuple(region))


TRACE = re.compile(
    r"Traceback \(most|^\w*(?:Error|Exception|Warning): |\bERROR\b|\bWARN(?:ING)?\b|^E  |panic: |goroutine \d"
    r"|^\S*:\d+:\d+: |^\d{4}-\d\d-\d\d[ T]\d\d:\d\d",
    re.MULTILINE,
)
"""Of error output and logs."""


def traces(found: list[Passage]) -> Iterator[Passage]:
    """Yield what the documentation shows of error output and logs, as passages of the kind ``trace``."""
    for passage in found:
        if passage.source.kind in ("docs", "config", "sql", "data") and passage.source.form != "service":
            blocks_ = tuple(block if TRACE.search(block) else "" for block in passage.blocks)
            if any(blocks_):
                yield passage._replace(source=passage.source._replace(kind="trace"), blocks=blocks_)
