"""Where the journals of a configuration are."""

from pathlib import Path


def journals_of(config: Path | None) -> Path:
    """Return the directory of the journals of ``config``, or of the configuration that is found without it."""
    from guard.policy.load import load_config
    from guard.policy.locations import configuration
    from guard.provenance.layout import Layout

    return Layout(Path(load_config(configuration(config)).state_dir)).audit
