"""Write down what a check found when its exchange had been recorded already."""

from guard.exchange.exchange import Exchange
from guard.exchange.record import finding_facts


def record_late(exchange: Exchange) -> None:
    """Report what ``exchange`` holds of one check: metrics, and an audit entry ``late_findings`` if it holds anything.

    The entry has the reference of the decision that it adds to. Nothing was refused because of it.
    """
    meter, audit = exchange.services.meter, exchange.services.audit
    for direction, finding, ruling in exchange.findings:
        meter.finding(finding.category, direction.value, ruling.action.name.lower())
    for why in exchange.not_evaluated:
        meter.not_evaluated(why)
    if audit is not None and (exchange.findings or exchange.not_evaluated):
        model = exchange.named
        audit.append(
            "late_findings",
            {
                "reference": exchange.head.reference,
                "surface": exchange.inquiry.surface,
                "model": model.name if model is not None else None,
                "policy": exchange.snapshot.hash,
                "not_evaluated": exchange.not_evaluated,
                "findings": finding_facts(exchange),
            },
        )
