"""When a limit on users will be passed, from how the months of a license grew."""
