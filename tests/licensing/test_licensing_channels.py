"""Every channel that gives more than an answer (channels.yaml) is one that a policy rules on, under every license."""

from pathlib import Path

import pytest
import yaml

from guard.exchange.inquiry import Inquiry
from guard.licensing.capability import ALLOW, BLINDING, CAPABILITIES, DENY, setting
from guard.policy.packs import shipped_packs
from guard.wire import surfaces

TABLE = yaml.safe_load((Path(__file__).parent / "channels.yaml").read_text(encoding="utf-8"))
CHANNELS = TABLE["channels"]
PACKS = shipped_packs()
SAID = [{"role": "user", "content": "How many bridges are there?"}]
ORDINARY = {
    TABLE["chat"]: {"messages": SAID},
    TABLE["batch"]: {"messages": [SAID]},
    TABLE["completions"]: {"prompt": "How many bridges are there?"},
    TABLE["responses"]: {"input": "How many bridges are there?"},
    TABLE["messages"]: {"messages": SAID, "max_tokens": 8},
}
OPENED = {"batch"}
"""The optional surface whose answers are text: opening it opens no channel."""


def named(channel):
    return f"{channel['path']} {channel['row']}"


def inquiry(channel) -> Inquiry:
    match = surfaces.match("POST", channel["path"])
    assert isinstance(match, surfaces.Surface)
    return match.parse({"model": "tiny", **ORDINARY[channel["path"]], **channel["fields"]})


@pytest.mark.parametrize("channel", CHANNELS, ids=named)
def test_asking_for_it_is_a_use_of_its_capability(channel):
    if channel["capability"] == "surface":
        match = surfaces.match("POST", channel["path"])
        optional = match.optional if isinstance(match, surfaces.Surface) else None
        assert isinstance(match, surfaces.Refused) or optional not in {None, *OPENED}
        return
    assert channel["capability"] in {use.capability for use in inquiry(channel).uses}


@pytest.mark.parametrize("path", ORDINARY)
def test_an_ordinary_request_uses_none(path):
    parsed = inquiry({"path": path, "fields": {}})
    assert {use.capability for use in parsed.uses} <= {"length"}


@pytest.mark.parametrize("id_", [id_ for id_, pack in PACKS.items() if pack.output_use.rule.forbids_training])
def test_a_license_that_bars_training_closes_every_channel_but_those_that_are_left_open_for_a_reason(id_):
    free = {name for name in CAPABILITIES if setting(name, [PACKS[id_]])[0].action == ALLOW}
    assert free == TABLE["left_open"].keys()


def test_every_capability_has_a_channel_and_every_channel_is_delivered_or_says_why_not():
    assert {channel["capability"] for channel in CHANNELS} == {*CAPABILITIES, "surface"}
    for channel in CHANNELS:
        assert ("unguarded" in channel) != ("not_here" in channel), named(channel)


def test_what_blinds_the_screen_is_denied_under_every_license():
    for capability in BLINDING:
        for pack in PACKS.values():
            assert setting(capability, [pack])[0].action == DENY
