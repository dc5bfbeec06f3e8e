"""What contradicts itself in a configuration, one subject per file; each yields its problems."""
