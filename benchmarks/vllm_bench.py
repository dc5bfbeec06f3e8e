"""What does `vllm bench serve` say of a real vLLM, asked directly and through Guard?

vLLM's own benchmark against vLLM's own server: a tiny model on the CPU, streamed chat completions of harmless prose, by
each way in turn in shuffled rounds; nothing is stopped or pinned, for model, Guard and benchmark share the machine. The
model takes a hundred times what Guard takes, so this shows that nothing is lost on the way and what a client notices;
for what Guard costs, ask request_cost.py and stream_cost.py. vLLM is installed where tests/vllm/install.sh keeps it
(2.4 GB, once).

    python benchmarks/vllm_bench.py [--rounds 2] [--prompts 60] [--rate 4] [--json FILE]
"""

import json
import random
import subprocess
import tempfile
import urllib.request
from pathlib import Path

from lab.figures import Figures
from lab.question import amount, keep, options, table
from lab.results import ROOT, Result
from lab.systems import EVERYTHING_ON, RULES_ON, Guard, free_port
from lab.texts import prose

from guard.cli.demo_scene import vllm_server

MODEL = "bench"
MEASURES = {
    "median_ttft_ms": "first token, p50 ms", "p99_ttft_ms": "p99", "median_tpot_ms": "a token, p50 ms",
    "p99_tpot_ms": "p99", "median_itl_ms": "between two, p50 ms", "output_throughput": "tokens/s",
}  # fmt: skip


def prompts(path, count):
    """Write ``count`` prompts as vllm bench reads conversations: its own format for prompts wants pandas."""
    rng = random.Random(5)
    talks = [(f"Please write a short summary: {prose(rng, 400)}", prose(rng, 300)) for _ in range(count)]
    talks = [[{"from": "human", "value": asked}, {"from": "gpt", "value": said}] for asked, said in talks]
    path.write_text(json.dumps([{"conversations": talk} for talk in talks]))


def ask(vllm, model, url, data, given, folder):
    """Run the benchmark once; return what it wrote. Raises RuntimeError where a request failed."""
    command = [
        vllm, "bench", "serve", "--backend", "openai-chat", "--endpoint", "/v1/chat/completions", "--base-url", url,
        "--model", MODEL, "--tokenizer", model, "--dataset-name", "sharegpt", "--dataset-path", data,
        "--sharegpt-output-len", 64, "--num-prompts", given.prompts, "--request-rate", given.rate, "--num-warmups", 4,
        "--ignore-eos", "--disable-tqdm", "--save-result", "--result-dir", folder, "--result-filename", "found.json",
    ]  # fmt: skip
    environment = {**vllm_server.ENVIRONMENT, "PATH": "/usr/bin:/bin", "HOME": str(folder)}
    done = subprocess.run([str(part) for part in command], capture_output=True, text=True, check=False, env=environment)
    if done.returncode:
        raise RuntimeError(f"vllm bench serve: {done.stderr[-1500:]}")
    found = json.loads((folder / "found.json").read_text())
    if found["completed"] != given.prompts:
        raise RuntimeError(f"{found['completed']} of {given.prompts} requests were answered: {done.stdout[-1500:]}")
    return found


def measure(given, result):
    """Ask in shuffled rounds, directly and through Guard."""
    installing = subprocess.run([ROOT / "tests" / "vllm" / "install.sh"], capture_output=True, text=True, check=True)
    vllm = Path(installing.stdout.strip()).parent / "vllm"
    model, figures, port = vllm_server.tiny_model(vllm), Figures(), free_port()
    systems = [
        Guard("guard_rules", "Guard, rules on", RULES_ON),
        Guard("guard_all", "Guard, everything on", EVERYTHING_ON),
    ]
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        data = folder / "prompts.json"
        prompts(data, given.prompts)
        server = vllm_server.start(vllm, model, [MODEL], port, folder / "vllm.log")
        try:
            server.wait_ready(vllm_server.READY_SECONDS)
            ways = {"direct": f"http://127.0.0.1:{port}"}
            body = json.dumps({"model": MODEL, "max_tokens": 4, "messages": [{"role": "user", "content": "Hello"}]})
            for each in systems:
                each.start(folder, port, core=None)
                each.wait(body)
                ways[each.name] = f"http://127.0.0.1:{each.port}"
            rng = random.Random(1)
            for figures.round in range(given.rounds):
                for way in rng.sample(list(ways), len(ways)):
                    found = ask(vllm, model, ways[way], data, given, folder)
                    for measured in MEASURES:
                        figures.add(way, measured, found[measured])
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/version") as answer:
                result.content["versions"]["vllm"] = json.load(answer)["version"]
        finally:
            for each in systems:
                each.stop()
            server.stop()
    result.content["settings"] = {"prompts": given.prompts, "rate": given.rate, "tokens": 64, "rounds": given.rounds}
    result.content["figures"] = figures.summary()
    print(f"\n{result.content['question']}\n")
    rows = [
        [{"direct": "directly"}.get(name, name), *(amount(figures.median(name, measured)) for measured in MEASURES)]
        for name in figures.rounds
    ]
    print(table(rows, ["", *MEASURES.values()]))


def more(parser):
    """Add what only this question has."""
    parser.add_argument("--prompts", type=int, default=60, help="of each round and way (default 60)")
    parser.add_argument("--rate", type=float, default=4.0, help="requests a second (default 4)")


if __name__ == "__main__":
    given = options(__doc__, rounds=2, more=more)
    if given.quick:
        given.prompts = 8
    result = Result("vllm_bench", __doc__.splitlines()[0])
    measure(given, result)
    keep(result, given)
