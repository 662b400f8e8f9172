"""RASP to weights: the only room that knows Tracr."""
