"""A hypothetical caller is known by whatever the policy believes: headers with networks of their own, certificates."""

import pytest

from guard.policy.load import load
from guard.policy.rehearsal.hypothetical import Caller, Request
from guard.policy.rehearsal.rehearse import rehearse

POLICIES = {
    "a plain header": ("{trusted_from: [10.0.0.0/8], trusted_headers: [x-user]}", "trusted_header"),
    "networks of its own": ("{trusted_headers: [{header: x-user, from: [192.0.2.128/25]}]}", "trusted_header"),
    "a member": ("{trusted_headers: [{header: x-meta, from: [10.0.0.0/8], member: _user}]}", "trusted_header"),
    "Envoy's certificate": ("{mtls: {from: [10.0.0.0/8]}}", "mtls"),
    "ingress-nginx' certificate": ("{trusted_from: [10.0.0.0/8], mtls: {header: ssl-client-subject-dn}}", "mtls"),
}


@pytest.mark.parametrize(("identity", "source"), POLICIES.values(), ids=POLICIES)
@pytest.mark.parametrize("user", ["ann", 'CN="Ann" \\ Lee,O=x;y'])
def test_the_source_that_a_case_names_is_the_source_that_is_found(write, identity, source, user):
    snapshot = load(write(f"models:\n  m: {{license: gemma}}\nidentity: {identity}\n")).snapshot
    found = rehearse(snapshot, Request(0.0, model="m", caller=Caller(user, source)))
    assert found.exchange.identity.source == source
    assert found.exchange.identity.key is not None
