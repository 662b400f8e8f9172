"""The tests of a client run beside that client alone: `make clients` names it."""

import os

CLIENTS = ("transformer_lens", "transformer_lens_3", "nnsight", "pyvene", "auto_circuit")
collect_ignore = [name for name in CLIENTS if name != os.environ.get("PLANTED_CLIENT")]
