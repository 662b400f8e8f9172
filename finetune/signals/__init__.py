"""Signals: what the loss conveys of the base objective."""
