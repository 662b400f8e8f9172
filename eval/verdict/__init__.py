"""The verdict: the rule, its thresholds as data, and its explanation."""
