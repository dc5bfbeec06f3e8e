"""A running Guard signs its audit chain, receipts or not, and its heads leave the machine as configured."""

import asyncio

import pytest
from asgi_world import CONFIG
from prometheus_client import CollectorRegistry

from guard.evidence.kept import read
from guard.evidence.signing import PUBLIC, Verifier
from guard.evidence.verify import verify
from guard.policy.load import load
from guard.provenance.layout import Layout
from guard.transports.runtime import Runtime


@pytest.mark.parametrize("receipts", ["true", "false"])
def test_a_run_leaves_heads_that_its_chain_is_held_against(tmp_path, receipts):
    path, kept = tmp_path / "guard.yaml", tmp_path / "elsewhere.jsonl"
    text = CONFIG.format(state=tmp_path / "state")
    assert "evidence:" not in text
    outputs = "" if "outputs:" in text else f"outputs: {{receipts: {receipts}}}\n"
    path.write_text(f"{text}\n{outputs}evidence: {{heads: [{{file: {kept}}}]}}\n")

    async def story():
        runtime = Runtime(path, registry=CollectorRegistry())
        await runtime.start()
        assert runtime.ready()[1]["signing"] == "ok"
        assert runtime.stores.journal.intact
        await runtime.stop()
        assert runtime.ready()[0] is False

    asyncio.run(asyncio.wait_for(story(), 30))
    layout = Layout(tmp_path / "state")
    heads = read(kept)
    report = verify(layout.audit, heads=heads, keys=Verifier.of_list(layout.signing / PUBLIC))
    assert report.ok, report.first_bad
    (chain,) = report.chains
    assert (chain.matched, chain.checkpoints, chain.unsigned) == (len(heads), 2, 1)
    assert [head.checkpoint.instance for head in heads] == ["guard-0", "guard-0"]


def test_the_files_of_a_webhook_lie_beside_the_configuration(tmp_path):
    path = tmp_path / "guard.yaml"
    path.write_text(
        "models: {m: {license: mistral-apache}}\nevidence:\n  heads:\n"
        '    - {webhook: "https://collector.example.org/guard", token_file: collector.token, ca: ca.pem}\n'
    )
    for name in ("collector.token", "ca.pem"):
        (tmp_path / name).write_text("x")
    (where,) = load(path, environment={}).config.evidence.heads
    assert (where.token_file, where.ca) == (str(tmp_path / "collector.token"), str(tmp_path / "ca.pem"))
