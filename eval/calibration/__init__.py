"""Validation models, and where the evaluators are trusted."""
