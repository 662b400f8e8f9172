"""A scenario, a tier, a signal and an evaluator that join planted from outside."""
