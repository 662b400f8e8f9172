"""The benchmark of methods: tasks with known answers, built-in methods, and the nulls beside them.

`locate` holds the task (pairs, components, positives, metrics), `builtin` the methods to compare
with, `measure` runs a method on plants, on their twins and on networks without a plant.
"""
