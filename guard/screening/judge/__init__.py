"""Guard models as judges: what each family is asked, and how its answer is read. No I/O here."""
