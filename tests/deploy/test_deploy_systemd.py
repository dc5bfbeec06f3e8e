"""The systemd unit: systemd itself takes it, and finds little that the service could still do to the machine."""

import re
import subprocess
import sys

import pytest
from grafana_board import ROOT

from guard.cli.serve import EX_CONFIG
from guard.policy.settings.drain import DrainConfig

UNIT = ROOT / "deploy" / "systemd" / "guard.service"
USERS = UNIT.with_name("guard.sysusers")
PAGE = (ROOT / "docs" / "containers.md").read_text(encoding="utf-8")
MOST_EXPOSED = 1.5
"""Of 10, by systemd's own measure; below 2 it calls a service OK."""


def settings():
    """Every setting by name, with its values in order."""
    found = {}
    for line in UNIT.read_text(encoding="utf-8").splitlines():
        if "=" in line and not line.startswith("#"):
            name, _, value = line.partition("=")
            found.setdefault(name, []).append(value)
    return found


def test_a_bad_configuration_is_not_tried_again():
    found = settings()
    assert found["Restart"] == ["on-failure"]
    assert set(found["RestartPreventExitStatus"][0].split()) == {"64", str(EX_CONFIG)}


def test_it_may_drain_before_it_is_killed():
    drain = DrainConfig()
    assert float(settings()["TimeoutStopSec"][0]) > drain.delay + drain.seconds


def test_it_may_write_its_state_and_nothing_else():
    found = settings()
    assert found["ProtectSystem"] == ["strict"]
    assert found["StateDirectory"] == ["guard"]
    assert "ReadWritePaths" not in found
    assert found["NoNewPrivileges"] == ["yes"]
    assert found["CapabilityBoundingSet"] == [""]


def test_its_user_lasts_so_that_a_command_beside_it_leaves_the_state_where_it_is():
    """A dynamic user's state is behind /var/lib/private, and a second unit that names it moves it under the service."""
    found = settings()
    assert "DynamicUser" not in found
    assert found["User"] == ["guard"]
    commands = re.findall(r"^sudo .*$", PAGE, re.MULTILINE)
    assert any("guard usage show" in each for each in commands)
    assert {each.split(" /opt/guard/bin/guard ")[0] for each in commands} == {"sudo -u guard"}
    assert "systemd-run" not in PAGE
    assert "/var/lib/private" not in PAGE


@pytest.mark.slow
def test_systemd_makes_the_user_that_the_unit_names(tmp_path):
    installed = tmp_path / "etc" / "sysusers.d" / "guard.conf"
    installed.parent.mkdir(parents=True)
    installed.write_bytes(USERS.read_bytes())
    assert "deploy/systemd/guard.sysusers /etc/sysusers.d/guard.conf" in PAGE
    made = subprocess.run(
        ["systemd-sysusers", f"--root={tmp_path}", "guard.conf"], capture_output=True, text=True, timeout=60, check=False
    )  # fmt: skip
    assert made.returncode == 0, made.stderr
    rows = [line.split(":") for line in (tmp_path / "etc" / "passwd").read_text(encoding="utf-8").splitlines()]
    (user,) = [row for row in rows if row[0] in settings()["User"]]
    assert 0 < int(user[2]) < 1000, "a user of the system"
    assert user[5:] == ["/var/lib/guard", "/usr/sbin/nologin"]


@pytest.mark.slow
def test_systemd_finds_no_fault(tmp_path):
    unit = tmp_path / "guard.service"
    installed = UNIT.read_text(encoding="utf-8").replace("/opt/guard/bin/guard", sys.executable)
    unit.write_text(installed, encoding="utf-8")
    done = subprocess.run(
        ["systemd-analyze", "verify", "--man=no", unit], capture_output=True, text=True, timeout=60, check=False
    )
    assert (done.returncode, done.stdout + done.stderr) == (0, "")


@pytest.mark.slow
def test_systemd_finds_little_exposed():
    done = subprocess.run(
        ["systemd-analyze", "security", "--offline=true", "--no-pager", UNIT], capture_output=True, text=True, timeout=60, check=False
    )  # fmt: skip
    exposed = re.search(r"Overall exposure level for guard.service: ([\d.]+)", done.stdout)
    assert exposed, done.stdout + done.stderr
    assert float(exposed[1]) <= MOST_EXPOSED
