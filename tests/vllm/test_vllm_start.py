"""A vLLM that Guard cannot guard does not start."""

import pytest
from vllm_world import MIDDLEWARE, start

from guard.cli.demo_scene import vllm_server
from guard.cli.demo_scene.process import DidNotStart

pytestmark = pytest.mark.vllm


def test_a_bad_configuration_stops_the_server(installed, tmp_path):
    config = tmp_path / "guard.yaml"
    config.write_text("models:\n  demo-llama-2: {license: lama-2}\n", encoding="utf-8")
    with start(installed, tmp_path, MIDDLEWARE, GUARD_CONFIG=str(config)) as server:
        with pytest.raises(DidNotStart) as stopped:
            server.wait_ready(vllm_server.READY_SECONDS)
        assert stopped.value.code, "it ended by itself, and not with 0"
        assert server.stop() == stopped.value.code
    log = server.log.read_text(errors="replace")
    assert f"{config}:2" in log
    assert "did you mean 'llama-2'?" in log
