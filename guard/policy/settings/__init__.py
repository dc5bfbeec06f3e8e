"""The sections of guard.yaml, one file each."""
