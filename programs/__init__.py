"""Scenarios and the programs that search them: the first room of the house."""
