"""Runs: cells and where they are kept, the executor, the request, the run folder."""
