"""The demo itself: a clean machine's first impression, so every step has to pass."""

import json
import re
import signal
import subprocess
import sys
import urllib.request

import pytest

from guard.cli.demo_scene.scene import SCENE

pytestmark = pytest.mark.slow

DEMO = (sys.executable, "-m", "guard", "demo")


def test_every_step_passes():
    done = subprocess.run([*DEMO, "--once", "--json"], capture_output=True, text=True, timeout=120, check=False)
    steps = [json.loads(line) for line in done.stdout.splitlines()]
    assert [step["name"] for step in steps] == [step.name for step in SCENE]
    assert [step for step in steps if not step["passed"]] == []
    assert done.returncode == 0
    assert done.stderr.splitlines()[-1] == f"{len(SCENE)} passed, 0 failed"


def test_people_read_panels_and_a_last_line():
    done = subprocess.run([*DEMO, "--once"], capture_output=True, text=True, timeout=120, check=False)
    lines = done.stdout.splitlines()
    assert lines[-1] == f"{len(SCENE)} passed, 0 failed"
    titles = [line for line in lines if re.search(r"\d .*: passed", line)]
    assert len(titles) == len(SCENE)


def test_it_stays_up_until_it_is_interrupted():
    with subprocess.Popen(DEMO, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as demo:
        try:
            printed = ""
            while not re.search(r"^\d+ passed, \d+ failed$", printed, re.MULTILINE):
                line = demo.stdout.readline()
                assert line, demo.stderr.read()
                printed += line
            url = re.search(r"^Guard: +(http://\S+)/v1$", printed, re.MULTILINE)[1]
            with urllib.request.urlopen(f"{url}/v1/models") as answer:
                assert answer.status == 200
            demo.send_signal(signal.SIGINT)
            assert demo.wait(60) == 0
        finally:
            demo.kill()
    with pytest.raises(OSError, match="refused"):
        urllib.request.urlopen(f"{url}/v1/models", timeout=2)


def test_a_vllm_that_is_not_there_is_a_bad_configuration(tmp_path):
    done = subprocess.run([*DEMO, "--once", "--vllm-venv", tmp_path], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (78, "")
    assert f"no vllm command in {tmp_path}/bin" in done.stderr
