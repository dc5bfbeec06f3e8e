"""``guard serve`` as a process: what it says of starting and stopping."""

import os
import signal
import subprocess
import sys

import pytest


@pytest.mark.slow
def test_a_start_and_a_stop_are_said_once(tmp_path):
    """Two ports are two servers; who reads the log wants one story."""
    (tmp_path / "guard.yaml").write_text(
        "license: gemma\nupstream: http://127.0.0.1:9\nlisten: 127.0.0.1:0\nadmin: localhost:0\nstate_dir: state\n"
    )
    environment = {name: value for name, value in os.environ.items() if not name.startswith("GUARD_")}
    serving = subprocess.Popen(
        [sys.executable, "-m", "guard", "serve"], cwd=tmp_path, env=environment, stderr=subprocess.PIPE, text=True
    )
    lines = []
    try:
        for line in serving.stderr:
            lines.append(line)
            if "serving on" in line:
                serving.send_signal(signal.SIGTERM)
    finally:
        serving.kill()
        serving.wait()
        serving.stderr.close()
    said = [line.split("INFO ", 1)[1].split(",")[0].split(":")[0] for line in lines if "INFO" in line]
    assert [words for words in said if said.count(words) > 1] == []
    assert any(words.startswith("serving on") for words in said)
    assert said[-1].strip() == "stopped"
