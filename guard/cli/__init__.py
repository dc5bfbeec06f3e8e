"""The guard command: one file per subcommand."""
