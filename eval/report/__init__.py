"""The report: one self-contained page, a pure function of verdicts and records."""
