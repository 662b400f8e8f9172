"""The exact weights with noise: small enough that no answer changes."""

from dataclasses import replace

import numpy as np


class Noisy:
    """Adds N(0, sigma) to every weight of the exact tier."""

    name = "noisy"
    invariants = ("choices",)  # checked again on what `make` returns
    sigma = 3e-4

    def make(self, exact, context):
        """The noisy plant; its truth is the exact one's."""
        rng = np.random.default_rng(context.seed)
        params = {
            name: (value + rng.normal(0, self.sigma, value.shape)).astype(np.float32)
            for name, value in exact.params.items()
        }
        settings = {**exact.settings, "sigma": self.sigma}
        return replace(exact, params=params, settings=settings)


noisy = Noisy()
