"""How a process ends that was asked to: what SIGTERM begins."""

from pydantic import Field

from guard.policy.settings.section import Section


class DrainConfig(Section):
    """The end of ``guard serve``; inside vLLM the server's own options decide."""

    example = "{delay: 5, seconds: 60}"

    delay: float = Field(
        default=0,
        ge=0,
        le=600,
        description="Seconds after SIGTERM during which readiness already fails and connections are still accepted: as "
        "long as a load balancer takes to notice.",
    )
    seconds: float = Field(
        default=30,
        ge=0,
        le=3600,
        description="Seconds after that within which answers may finish; what is not whole then is cut.",
    )
