"""How the shipped models are made: ``python -m guard.screening.train``. Needs the extra ``train``; serving does not."""
