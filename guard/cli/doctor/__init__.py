"""``guard doctor``: what Guard cannot see or guard in this deployment, found by looking; one file per noun."""

from guard.cli.doctor.command import doctor

__all__ = ["doctor"]
