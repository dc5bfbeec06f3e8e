"""Writes what was measured into README.md and docs/performance.md, between their markers, and draws the plots.

Between `<!-- figures: NAME -->` and `<!-- end of figures -->` stands what this script makes of benchmarks/results/; a
test holds them equal, so a figure there was measured, and on what the result's file says.

    python benchmarks/page.py [--check]      (--check writes nothing and ends with 1 where something would change)
"""

import argparse
import re
import sys

from lab.goals import rows as goal_rows
from lab.plot import bars, lines
from lab.question import amount, label
from lab.results import ROOT, read_all
from lab.systems import NAMES

PAGES = (ROOT / "README.md", ROOT / "docs" / "performance.md")
IMAGES = ROOT / "docs" / "images"
BLOCK = re.compile(r"(?<=<!-- figures: )([a-z_]+)( -->\n)(.*?)(?=<!-- end of figures -->)", re.DOTALL)
ABSENT = "Not measured yet: `python benchmarks/{}.py`.\n"


def table(head, rows):
    """Return a table in Markdown."""
    aligned = [" --- ", *(" ---: " for _ in head[1:])]
    every = [head, *rows]
    drawn = [f"| {' | '.join(map(str, row))} |" for row in every]
    return "\n".join([drawn[0], f"|{'|'.join(aligned)}|", *drawn[1:]]) + "\n"


def spread(found):
    """Return a median with the lowest and the highest round."""
    return f"{amount(found['median'])} ({amount(found['low'])} to {amount(found['high'])})" if found else "-"


def ordered(content):
    """Return the names of the systems in a result, in the order of lab/systems.py."""
    return [name for name in NAMES if content["figures"].get(name)]


def median(content, key):
    """Return the median of a ratio, or a dash."""
    found = content["ratios"].get(key)
    return amount(found["median"]) if found else "-"


def goals(results):
    """Every goal, what was measured, and whether it is met."""
    return table(["goal", "bound", "measured", "met"], goal_rows(results))


def machine(results):
    """What the figures were taken on."""
    found = results.get("request_cost")
    if not found:
        return ABSENT.format("bench")
    on = found["machine"]
    versions = ", ".join(
        f"{label(name)} {version}"
        for name, version in found["versions"].items()
        if name in NAMES and "guard" not in name
    )
    return (
        f"{on['cores']} cores ({on['processor']}), {on['memory_gib']:g} GiB, Linux {on['kernel']}, "
        f"Python {on['python']}; {versions}; Guard at revision {found['revision']}, on {found['taken']}. "
        f"Before it began {on['busy_before'] * 100:.0f} % of the cores' time was used by others.\n"
    )


def cost(results, question, measured, last, unit):
    """A table of one of the two costs, and who was not there."""
    content = results.get(question)
    if not content:
        return ABSENT.format(question)
    rows = [
        [label(name), spread(content["figures"][name][measured]), median(content, f"{name} / nginx"),
         amount(content["figures"][name][last]["median"])]
        for name in ordered(content)
    ]  # fmt: skip
    absent = "".join(f"\nNot there: {label(name)} ({why}).\n" for name, why in content["absent"].items())
    further = "requests/s" if last == "per_second" else "µs a fast chunk"
    return table(["", f"CPU µs a {unit}", "/ nginx", further], rows) + absent


def request_cost(results):
    """CPU of a request."""
    return cost(results, "request_cost", "cpu_us", "per_second", "request")


def stream_cost(results):
    """CPU of a chunk."""
    return cost(results, "stream_cost", "paced_us", "fast_us", "paced chunk")


def added_latency(results):
    """Milliseconds that a client waits longer."""
    content = results.get("added_latency")
    if not content:
        return ABSENT.format("added_latency")
    rows = []
    for name in ordered(content):
        added = content["added"].get(f"{name} - direct")
        if added:
            rate, streams = content["settings"]["rate"][name], content["settings"]["streams"][name]
            shown = [f"{added[key]['median'] / 1000:.2f}" for key in (
                "latency_p50_us", "latency_p99_us", "first_p50_us", "first_p99_us", "chunk_p50_us")]  # fmt: skip
            rows.append([label(name), rate, *shown[:2], streams, *shown[2:]])
    head = ["added, ms", "requests/s", "answer p50", "p99", "streams", "first token p50", "p99", "a chunk p50"]
    return table(head, rows)


def in_process(results):
    """What Guard adds inside the server."""
    content = results.get("in_process")
    if not content:
        return ABSENT.format("in_process")
    rows = [
        [f"{called}, by {what}", spread(content["figures"][name][f"{key}_us"]),
         median(content, f"{name} / nginx, {key}")]
        for name, called in (("rules", "rules on"), ("all", "everything on"))
        for key, what in (("request", "request"), ("chunk", "streamed chunk"))
    ]  # fmt: skip
    return table(["added", "CPU µs", "/ nginx's whole"], rows)


def wrk_check(results):
    """Our load generator beside wrk."""
    content = results.get("wrk_check")
    if not content:
        return ABSENT.format("wrk_check")
    rows = [
        [label(name), spread(found["cpu_us"]), spread(found["wrk_cpu_us"]), amount(found["per_second"]["median"]),
         amount(found["wrk_per_second"]["median"])]
        for name, found in ((name, content["figures"][name]) for name in ordered(content))
    ]  # fmt: skip
    return table(["", "CPU µs, ours", "CPU µs, wrk", "requests/s, ours", "requests/s, wrk"], rows)


def vllm_bench(results):
    """vLLM's own benchmark."""
    content = results.get("vllm_bench")
    if not content:
        return ABSENT.format("vllm_bench")
    measured = {"median_ttft_ms": "first token p50, ms", "p99_ttft_ms": "p99", "median_tpot_ms": "a token p50, ms",
                "output_throughput": "tokens/s"}  # fmt: skip
    rows = [
        ["directly" if name == "direct" else label(name), *(spread(found[key]) for key in measured)]
        for name, found in content["figures"].items()
    ]
    return table(["", *measured.values()], rows)


def swept(results, question, measured, called):
    """A table of a sweep: systems down, sizes across."""
    content = results.get(question)
    if not content:
        return ABSENT.format(question)
    sizes, unit = content["settings"]["sizes"], content["settings"]["unit"]
    rows = [
        [label(name), *(amount(points[size]) for size in sizes)] for name, points in series(content, measured).items()
    ]
    return table([called, *(f"{size:,} {unit}" for size in sizes)], rows)


def series(content, measured):
    """Return {system: {size: median}} of a sweep."""
    found = {}
    for key, figures in content["figures"].items():
        name, _, size = key.rpartition(" at ")
        found.setdefault(name, {})[int(size)] = figures[measured]["median"]
    return {name: found[name] for name in NAMES if name in found}


def prompt_size(results):
    """By the size of a prompt."""
    return swept(results, "prompt_size", "cpu_us", "CPU µs a request")


def streams(results):
    """By the number of streams."""
    return swept(results, "streams", "cpu_us", "CPU µs a chunk") + (
        "\n" + swept(results, "streams", "first_p50_us", "first token p50, µs") if "streams" in results else ""
    )


def tokens(results):
    """By the length of an answer."""
    return swept(results, "tokens", "cpu_us", "CPU µs a chunk")


def counted(results, question, measured, called, name=str):
    """A table of a question with one row to each thing that was measured."""
    content = results.get(question)
    if not content:
        return ABSENT.format(question)
    rows = [
        [name(what), *(amount(found[key]["median"]) for key in measured)] for what, found in content["figures"].items()
    ]
    return table([called, *measured.values()], rows)


def users(results):
    """By the users of a month."""
    measured = {"before_mib": "MiB before", "after_mib": "MiB after", "sighting_us": "CPU µs a first sight",
                "known_us": "µs a request of a known user", "new_us": "of a new one"}  # fmt: skip
    return counted(results, "users", measured, "users", lambda number: f"{int(number):,}")


def policies(results):
    """By the number of patterns and packs."""
    measured = {"cpu_us": "CPU µs a request", "load_ms": "CPU ms to load", "resident_mib": "MiB"}

    def said(name):
        _, rules, packs = name.split("_")
        return f"{rules}, {'every license' if packs == 'all' else 'one license'}"

    return counted(results, "policies", measured, "patterns", said)


def memory_soak(results):
    """Memory over a soak."""
    measured = {"resident_mib": "MiB at the end", "growth_percent": "growth in the second half, %",
                "answered": "answered"}  # fmt: skip
    return counted(results, "memory_soak", measured, "", label)


def readme(results):
    """What README says of it."""
    requests, chunks = results.get("request_cost"), results.get("stream_cost")
    if not (requests and chunks):
        return ABSENT.format("bench")
    rows = [
        [label(name), amount(requests["figures"][name]["cpu_us"]["median"]), median(requests, f"{name} / nginx"),
         amount(chunks["figures"][name]["paced_us"]["median"]), median(chunks, f"{name} / nginx")]
        for name in ordered(requests)
        if name != "direct" and name in chunks["figures"]
    ]  # fmt: skip
    return table(["", "CPU µs a request", "/ nginx", "CPU µs a streamed chunk", "/ nginx"], rows)


BLOCKS = {
    made.__name__: made
    for made in (goals, machine, request_cost, stream_cost, added_latency, in_process, wrk_check, vllm_bench,
                 prompt_size, streams, tokens, users, policies, memory_soak, readme)
}  # fmt: skip


def filled(text, results):
    """Return the page ``text`` with every block made anew. Raises KeyError for a block that is none of ours."""
    return BLOCK.sub(lambda found: f"{found[1]}{found[2]}{BLOCKS[found[1]](results)}", text)


def images(results):
    """Return the plots by file name."""
    made = {}
    for question, measured, title in (
        ("request_cost", "cpu_us", "CPU microseconds of a request (logarithmic)"),
        ("stream_cost", "paced_us", "CPU microseconds of a streamed chunk (logarithmic)"),
    ):
        content = results.get(question)
        if content:
            rows = [
                (label(name), content["figures"][name][measured], name.startswith("guard")) for name in ordered(content)
            ]
            made[f"performance-{question.replace('_', '-')}.svg"] = bars(title, rows, amount)
    for question, title, across in (
        ("prompt_size", "CPU microseconds of a request", "KB of the prompt"),
        ("streams", "CPU microseconds of a streamed chunk", "streams at once"),
        ("tokens", "CPU microseconds of a streamed chunk", "tokens of the answer"),
    ):
        content = results.get(question)
        if content:
            drawn = {label(name): points for name, points in series(content, "cpu_us").items()}
            made[f"performance-{question.replace('_', '-')}.svg"] = lines(title, drawn, across)
    return made


def written(results):
    """Return what every file is to hold, by path."""
    pages = {path: filled(path.read_text(encoding="utf-8"), results) for path in PAGES}
    return pages | {IMAGES / name: drawn for name, drawn in images(results).items()}


def main(argv=None):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--check", action="store_true")
    given = parser.parse_args(argv)
    stale = {
        path: text
        for path, text in written(read_all()).items()
        if not path.exists() or path.read_text(encoding="utf-8") != text
    }
    for path, text in stale.items():
        print(f"{'stale' if given.check else 'written'}: {path.relative_to(ROOT)}")
        if not given.check:
            path.write_text(text, encoding="utf-8")
    if given.check and stale:
        sys.exit(1)


if __name__ == "__main__":
    main()
