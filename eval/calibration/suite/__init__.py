"""Models whose fate is known by construction, certified against plain Python."""
