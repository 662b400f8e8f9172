"""Plants what the wheel carries, every shipped entry in every shipped tier: planted/models."""

from planted.core import artefact
from planted.library import build, shipped_folder
from planted.programs import catalogue


def main():
    for entry in catalogue.ENTRIES.values():
        if entry.shipped:
            for tier, made in build(entry.name).items():
                artefact.save_plant(shipped_folder(), made, f"{entry.name}@{entry.version}-{tier}")


if __name__ == "__main__":
    main()
