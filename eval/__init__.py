"""Evaluators turn checkpoints into evidence records; the verdict rule reads records alone."""
