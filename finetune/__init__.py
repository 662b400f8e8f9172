"""The base optimiser: recipes, the tasks they train on, and the trainer."""
