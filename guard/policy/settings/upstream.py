"""How long Guard waits for the inference server."""

from pydantic import Field

from guard.policy.settings.section import Section
from guard.policy.values import Seconds


class Timeouts(Section):
    """Seconds Guard waits for the inference server."""

    example = "{connect: 5}"

    connect: Seconds = Field(default=5, description="Seconds for a connection to be established.")
    read: Seconds = Field(default=600, description="Seconds without a byte from the inference server.")
    write: Seconds = Field(default=30, description="Seconds for the request to be taken.")
