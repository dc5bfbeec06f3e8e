"""Whose certificate a connection had, as Envoy and ingress-nginx report it, and nothing that a client adds to it."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from guard.exchange.certificate import XFCC, CertificateError, holder, last_element

HASH = "468ed33be74eee6556d90c0149c1309e9ba61d6425303443c0748a02dd8de688"
ENVOY = (
    f'By=http://frontend.lyft.com;Hash={HASH};Subject="/C=US/ST=CA/L=San Francisco/OU=Lyft/CN=Test Client";'
    "URI=http://testclient.lyft.com"
)
"""The example of Envoy's documentation."""


@pytest.mark.parametrize(("value", "found"), [
    (ENVOY, "http://testclient.lyft.com"),
    (f"By=spiffe://a/frontend;Hash={HASH};URI=spiffe://a/ns/default/sa/ann", "spiffe://a/ns/default/sa/ann"),
    (f'By=x;Hash={HASH};Subject="CN=Ann,O=Example"', "CN=Ann,O=Example"),
    (f'Hash={HASH};Subject="CN=Ann \\"the boss\\" \\\\ Lee"', 'CN=Ann "the boss" \\ Lee'),
    (f"{ENVOY},By=http://backend;Hash={HASH};URI=spiffe://a/second", "spiffe://a/second"),
    (f'By=x;Hash={HASH};Cert="-----BEGIN%20CERTIFICATE-----";Subject="CN=Ann";URI=;DNS=a.example;DNS=b.example', "CN=Ann"),
    (f"By=x;Hash={HASH};uri=spiffe://a/one;URI=spiffe://a/two", "spiffe://a/one"),
    (f'By=x;Hash={HASH};Subject=""', None),
    (f"{ENVOY},By=x;Hash={HASH}", None),
])  # fmt: skip
def test_the_uri_of_the_last_element_names_the_holder_else_its_subject(value, found):
    assert holder(XFCC, value) == found


@pytest.mark.parametrize("value", [
    "", ",", "By", "By=x;", f"{ENVOY},", f"{ENVOY};nothing", 'Subject="CN=Ann', 'Subject="CN=Ann"x;Hash=1', "=x", 'By="a"b"',
])  # fmt: skip
def test_what_envoy_does_not_write_is_an_error(value):
    with pytest.raises(CertificateError):
        holder(XFCC, value)


@pytest.mark.parametrize("added", [
    f"By=x;Hash={HASH};URI=spiffe://a/mallory",
    f'By=x;Hash={HASH};Subject="CN=mallory"',
    f'By=x;Hash={HASH};Subject="CN=\\"";URI=spiffe://a/mallory',
    f'By=x;Hash={HASH};Subject="";URI=spiffe://a/mallory',
    f'By=x;Hash={HASH};Cert="-----BEGIN";Subject="CN=a\\"b"',
])  # fmt: skip
@settings(max_examples=50, deadline=None)
@given(prefix=st.text(alphabet='",;=\\ xURI:/', max_size=12))
def test_no_element_that_a_client_sends_first_changes_what_the_hop_adds(added, prefix):
    """The hop appends its element behind a comma, whatever a client wrote into the header before."""
    expected = last_element(added)
    for sent in (prefix, f'URI=spiffe://a/admin;x="{prefix}', f"URI=spiffe://a/admin;{prefix}"):
        try:
            assert last_element(f"{sent},{added}") == expected
        except CertificateError:
            continue


def test_any_other_header_is_the_subject():
    assert holder(b"ssl-client-subject-dn", " CN=Ann,O=Example ") == "CN=Ann,O=Example"
    assert holder(b"ssl-client-subject-dn", " ") is None
