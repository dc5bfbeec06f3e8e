"""Who was active when: pseudonyms, periods, spool, ledger, thresholds."""
