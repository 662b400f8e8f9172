"""Evaluators: one module a measurement."""
