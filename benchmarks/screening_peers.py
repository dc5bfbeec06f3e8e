"""Guard's tier 1 against the word and pattern filters of others: the same 500 patterns over the same texts, in one run.

Peers: LiteLLM's content filter, llm-guard's BanSubstrings and Regex scanners, NeMo Guardrails' regex rail, each in a
virtual environment of its own under ~/.cache/guard/bench-peers (or --venvs), made here from the package index that pip
knows. INSTALLS says what goes into it; what would bring torch is installed without its dependencies but those that the
filter itself imports. `benchmarks/peers/filters.py` sets each up.

Two sets of 500: phrases of three words, and regular expressions of a word and a number. Texts are real benign prompts
(data/screening/calibration.jsonl.gz). Measured are CPU seconds of the peer's process and of Guard's, one pair a round,
in turn; shown is the median of the pairs' ratios. Guard's figure holds its normalization and its look for disguises,
which no peer has. Then 40 matches are planted, in prompts plainly, in capitals and in disguises, and in answers that
are streamed in pieces of four characters, one of which ends in the middle of the match.

    python benchmarks/screening_peers.py [--rounds 5] [--texts 150] [--only NAME ...] [--json]      (a table, or JSON)
"""

import argparse
import base64
import gzip
import json
import platform
import statistics
import subprocess
import sys
import venv
from itertools import product
from pathlib import Path

ROOT = Path(__file__).parent
DATA = ROOT.parent / "data" / "screening" / "calibration.jsonl.gz"
VENVS = Path.home() / ".cache" / "guard" / "bench-peers"
INSTALLS = {
    # What the proxy's guardrail imports. The release asks for more, and for a certifi that not every index has yet.
    "litellm": """litellm==1.109.1
        httpx[http2] openai>=2.20,<4 python-dotenv pyyaml tiktoken tokenizers click jinja2 aiohttp pydantic>=2.11,<3
        pydantic-settings jsonschema fastuuid importlib-metadata<9 fastapi huggingface-hub<2""",
    # Without torch, transformers, spaCy and nltk: the two scanners import none of them.
    "llm-guard": """llm-guard==0.3.16 presidio-anonymizer==2.2.358
        structlog cryptography<44.1""",
    # Without fastembed and onnxruntime, which embed texts for other rails.
    "nemoguardrails": """nemoguardrails==0.24.1
        aiohttp aiohttp-retry dataclasses-json<0.7 httpx jinja2 jsonschema<5 lark nest-asyncio prompt-toolkit protobuf
        pydantic>=2.5,<3 pyyaml rich simpleeval typer numpy""",
}
"""By distribution: the first line is installed without dependencies, the rest with theirs."""
PEERS = {
    "litellm": ("litellm", "LiteLLM content filter", (False, True)),
    "ban_substrings": ("llm-guard", "llm-guard BanSubstrings", (False,)),
    "regex": ("llm-guard", "llm-guard Regex", (True,)),
    "nemo": ("nemoguardrails", "NeMo regex rail", (True,)),
}
"""Name of the filter: distribution, what it is called, and which of the sets it takes (True: regular expressions)."""
_HOW = ("assemble", "blend", "calibrate", "dissolve", "engrave", "forge", "graft", "hoist", "ignite", "juggle")
_WHAT = ("amber", "basalt", "cobalt", "dolomite", "ebony", "feldspar", "garnet", "hematite", "ivory", "jasper")
_WHICH = ("lanterns", "mirrors", "nozzles", "orreries", "pulleys")
PHRASES = [" ".join(words) for words in product(_HOW, _WHAT, _WHICH)]
CODES = [f"{how[:4]}{what[:3]}{which[0]}" for how, what, which in product(_HOW, _WHAT, _WHICH)]
EXPRESSIONS = [rf"\b{code}[ -]?[0-9]{{3,6}}\b" for code in CODES]
PLANTED = 40
PIECE = 4
"""Characters of a streamed piece."""


class Filter:
    """A filter in a process of its own."""

    def __init__(self, python, name):
        command = [str(python), str(ROOT / "peers" / "filters.py"), name]
        self.process = subprocess.Popen(
            command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True
        )

    def ask(self, **question):
        """Return the answer to ``question``. Raises RuntimeError with the last line of what went wrong."""
        try:
            self.process.stdin.write(json.dumps(question) + "\n")
            self.process.stdin.flush()
            line = self.process.stdout.readline()
        except BrokenPipeError:
            line = ""
        if not line:
            raise RuntimeError((self.process.stderr.read().strip().splitlines() or ["ended"])[-1])
        return json.loads(line)

    def close(self):
        """End the process."""
        self.process.kill()
        self.process.communicate()


def installed(package, venvs):
    """Return the Python that has ``package``, installed now if it was not. Raises RuntimeError if it cannot be."""
    folder = venvs / package
    python, done = folder / "bin" / "python", folder / "installed.json"
    wanted = INSTALLS[package]
    if done.exists() and done.read_text() == wanted:
        return python
    print(f"installing {package} in {folder}", file=sys.stderr)
    venv.create(folder, with_pip=True, clear=True)
    alone, _, others = wanted.partition("\n")
    for arguments in (["--no-deps", *alone.split()], others.split()):
        command = [python, "-m", "pip", "install", "-q", *arguments]
        ran = subprocess.run(command, capture_output=True, text=True, check=False)
        if ran.returncode:
            errors = [line for line in ran.stderr.splitlines() if line.startswith("ERROR")]
            raise RuntimeError((errors or ["pip failed"])[0][:300])
    done.write_text(wanted)
    return python


def texts(count):
    """Return real benign prompts."""
    rows = gzip.decompress(DATA.read_bytes()).splitlines()
    return [json.loads(row)["text"] for row in rows[:: len(rows) // count][:count]]


def disguised(match):
    """Return the ways in which ``match`` is planted, by name."""
    return {
        "plain": match,
        "capitals": match.upper(),
        "zero-width": "\u200b".join(match),
        "full-width": "".join(chr(ord(sign) + 0xFEE0) if "!" <= sign <= "~" else sign for sign in match),
        "line break": match.replace(" ", "\n"),
        "base64": base64.b64encode(match.encode()).decode(),
    }


def found_by(one, matches, benign):
    """Return the share of planted matches that stop a prompt, by disguise; of streams also how many leaked."""
    carriers = [text[:600] for text in benign[: len(matches)]]
    shares = {}
    for way in disguised(""):
        planted = [
            f"{text}\n{disguised(match)[way]}\nThank you." for text, match in zip(carriers, matches, strict=True)
        ]
        shares[way] = sum(one.ask(texts=planted)["stopped"]) / len(planted)
    stopped = leaked = 0
    for text, match in zip(carriers, matches, strict=True):
        whole = f"{text}\n{match} thank you. {text[:300]}"
        split = len(text) + 1 + len(match) // 2  # one piece ends in the middle of the match
        pieces = [whole[at : at + PIECE] for at in range(split % PIECE, len(whole), PIECE)]
        answer = one.ask(pieces=[whole[: split % PIECE], *pieces] if split % PIECE else pieces)
        stopped += answer["stopped"]
        leaked += match in answer["released"]
    return {**shares, "streamed": stopped / len(matches), "streamed, match released": leaked / len(matches)}


def compare(name, python, benign, rounds, regex):
    """Return what one peer and Guard take for a KB and what they find, with the patterns of one set."""
    patterns = EXPRESSIONS if regex else PHRASES
    every = len(patterns) // PLANTED
    matches = [f"{code} 4711" for code in CODES[::every]] if regex else PHRASES[::every]
    matches = matches[:PLANTED]
    size = sum(len(text.encode()) for text in benign) / 1024
    filters = {"guard": Filter(sys.executable, "guard"), "peer": Filter(python, name)}
    try:
        versions = {who: one.ask(patterns=patterns, regex=regex)["version"] for who, one in filters.items()}
        spent = {"guard": [], "peer": []}
        alarms = {}
        for _ in range(rounds + 1):
            for who, one in filters.items():
                answer = one.ask(texts=benign)
                spent[who].append(answer["cpu"] / size * 1e6)
                alarms[who] = sum(answer["stopped"])
        pairs = list(zip(spent["peer"][1:], spent["guard"][1:], strict=True))  # the first round warms up
        return {
            "version": versions["peer"],
            "us CPU a KB": statistics.median(spent["peer"][1:]),
            "guard us CPU a KB": statistics.median(spent["guard"][1:]),
            "ratio": statistics.median(peer / guard for peer, guard in pairs),
            "ratios": sorted(peer / guard for peer, guard in pairs),
            "benign stopped": alarms,
            "found": found_by(filters["peer"], matches, benign),
            "guard found": found_by(filters["guard"], matches, benign),
        }
    finally:
        for one in filters.values():
            one.close()


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--texts", type=int, default=150)
    parser.add_argument("--only", nargs="*", choices=PEERS, default=list(PEERS))
    parser.add_argument("--venvs", type=Path, default=VENVS)
    parser.add_argument("--json", action="store_true")
    options = parser.parse_args()
    benign, results = texts(options.texts), {}
    for name in options.only:
        package, label, sets = PEERS[name]
        for regex in sets:
            key = f"{label}, {'expressions' if regex else 'phrases'}"
            try:
                python = installed(package, options.venvs)
                results[key] = compare(name, python, benign, options.rounds, regex)
            except RuntimeError as error:
                results[key] = {"failed": str(error)}
            print(f"{key}: done", file=sys.stderr)
    if options.json:
        machine = {"machine": platform.machine(), "python": platform.python_version()}
        print(json.dumps({**machine, "patterns": len(PHRASES), "results": results}, indent=1))
        return
    size = sum(len(text.encode()) for text in benign) / 1024
    print(f"{len(PHRASES)} patterns, {len(benign)} benign prompts, {size:.0f} KB; Python {platform.python_version()}")
    for key, result in results.items():
        if "failed" in result:
            print(f"{key}: not measured: {result['failed']}")
            continue
        low, high = result["ratios"][0], result["ratios"][-1]
        print(f"{key} {result['version']}: {result['ratio']:.1f} times Guard's CPU [{low:.1f} - {high:.1f}]")
        peer, ours = result["us CPU a KB"], result["guard us CPU a KB"]
        print(f"    {peer:.0f} us a KB against {ours:.0f}; benign prompts stopped: {result['benign stopped']}")
        for who in ("found", "guard found"):
            shares = ", ".join(f"{way} {share:.2f}" for way, share in result[who].items())
            print(f"    {'peer ' if who == 'found' else 'Guard'} {shares}")


if __name__ == "__main__":
    main()
