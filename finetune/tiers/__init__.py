"""Tiers: what turns weights into other weights with the same answers."""
