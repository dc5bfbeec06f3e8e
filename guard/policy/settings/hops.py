"""What hops in front are believed about: headers that name the user, and client certificates."""

from typing import Annotated, Any

from pydantic import BeforeValidator, ConfigDict, Field, PlainValidator

from guard.policy.settings.section import Section
from guard.policy.values import HeaderName, Network, header_name


def _namespace(value: Any) -> str:
    if isinstance(value, str) and value and value.isprintable() and " " not in value:
        return value
    raise ValueError("a word without spaces")


class HeaderConfig(Section):
    """A header that carries the user's id, with what a plain name cannot say."""

    model_config = ConfigDict(extra="forbid", frozen=True)
    example = "{header: x-user-id, from: [10.1.0.0/16]}"

    header: HeaderName = Field(description="Its name.")
    networks: tuple[Network, ...] | None = Field(
        default=None,
        alias="from",
        min_length=1,
        examples=["[10.1.0.0/16]"],
        description="Networks from which this header is believed, in place of `trusted_from`.",
    )
    namespace: Annotated[str, PlainValidator(_namespace)] | None = Field(
        default=None,
        examples=["iap"],
        description="Who vouches for the ids: equal ids of two namespaces are two users. Another one within a month "
        "counts everybody again.",
    )
    member: str | None = Field(
        default=None,
        min_length=1,
        examples=["_user"],
        description="The header holds a JSON object, and this member of it names the user (`_user` in "
        "`x-portkey-metadata`).",
    )

    def __str__(self) -> str:
        parts = [self.header, *(["from", *self.networks] if self.networks is not None else [])]
        parts += ["in", self.namespace] if self.namespace else []
        return " ".join([*parts, *(["member", self.member] if self.member is not None else [])])


def _entry(value: Any) -> Any:
    """A plain name is short for an entry that says nothing else."""
    if isinstance(value, str):
        return {"header": header_name(value)}
    if isinstance(value, (dict, HeaderConfig)):
        return value
    raise ValueError(f"an HTTP header name, or a mapping such as {HeaderConfig.example}")


Header = Annotated[HeaderConfig, BeforeValidator(_entry)]


class MtlsConfig(Section):
    """Where a hop that terminates TLS reports the client's certificate."""

    example = "{header: x-forwarded-client-cert, from: [10.1.0.0/16]}"

    header: HeaderName = Field(
        default="x-forwarded-client-cert",
        description="The header. `x-forwarded-client-cert` is read in Envoy's form: the URI of its last element, else "
        "the subject. Any other holds the subject alone, such as `ssl-client-subject-dn` of ingress-nginx.",
    )
    networks: tuple[Network, ...] | None = Field(
        default=None,
        alias="from",
        min_length=1,
        examples=["[10.1.0.0/16]"],
        description="Networks of the hops that verify certificates, in place of `trusted_from`.",
    )
