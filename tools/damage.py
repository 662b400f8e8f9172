"""Reads ten thousand damaged plants, as the wheel's and as a user's own: docs/damage.md.

Each is read twice. In the wheel's place it must be refused, by an error that says which file and
what to do. As a saved plant, which nothing pins, it must be refused or else be what it says: the
sound plant of another description, which chooses as that says.
"""

import json
import sys
import tempfile
import warnings
from collections import Counter
from pathlib import Path

import numpy as np

from planted import library
from planted.core import artefact
from planted.errors import PlantedError
from planted.programs import catalogue
from tests.planted import damage

N, PART = 10_000, 500
NAMES = (
    "red-doors@1-exact", "bottle-cap.small@1-rotated", "bottle-cap.small@1-exact",
    "keys-chests.small@1-exact", "diversity.small@1-exact", "bottle-cap-table.small@1-exact",
)  # fmt: skip
PAGE = Path("docs/damage.md")


def whole(stem):
    """The two files of a plant in the wheel."""
    folder = library.shipped_folder()
    tensors = (folder / f"{stem}{artefact.PACKED}").read_bytes()
    path = folder / f"{stem}{artefact.PACKED}"
    return damage.Files(
        (folder / f"{stem}.json").read_bytes(), artefact.files.unpacked(tensors, path)
    )


def tried(rng, stem, content, folder):
    """How the two readings of one end: "refused", "sound", or the error that none should see."""
    made = json.loads(whole(stem).manifest)
    manifest, tensors = folder / f"{stem}.json", folder / f"{stem}{artefact.PACKED}"
    manifest.write_bytes(content.manifest)
    tensors.write_bytes(damage.packed(rng, content.tensors))
    scenario = catalogue.entry(made["name"]).make_scenario()
    pinned = library.saved.shipped_index()[stem]["manifest"]
    return (
        outcome(lambda: artefact.load_plant(folder, stem, scenario, pinned)),
        outcome(lambda: works(library.open_plant(manifest))),
    )


def works(plant):
    """A plant that was read is used: every hook point, every node."""
    model = library.Model(plant)
    tokens = model.inputs(8, 1)
    model.run_with_cache(tokens)
    for name in model.truth.nodes:
        model.expected(name, tokens)
    return plant


def outcome(read):
    """The end of one reading; a warning is an error that none should see."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("error")
            read()
    except PlantedError:
        return "refused"
    except Exception as error:
        return f"{type(error).__name__}: {error}"[:200]
    return "sound"


def run(n, seed=0):
    """What happened to n of them: (what was done, in the wheel, as one's own) -> how often."""
    rng = np.random.default_rng(seed)
    files = [whole(stem) for stem in NAMES]
    found = Counter()
    with tempfile.TemporaryDirectory() as folder:
        for _ in range(n):
            one, other = rng.choice(len(NAMES), 2, replace=False)
            what, content = damage.damaged(rng, files[one], files[other])
            found[(what, *tried(rng, NAMES[one], content, Path(folder)))] += 1
    return found


def main():
    found = Counter()
    for seed in range(N // PART):  # the page is written as it grows, so that a long run shows
        found += run(PART, seed)
        kinds = sorted({what for what, *_ in found})
        rows = [counted(kind, found) for kind in kinds]
        raw = sum(n for key, n in found.items() if not set(key[1:]) <= {"refused", "sound"})
        PAGE.write_text(page(rows, raw))
        print(sum(found.values()), file=sys.stderr, flush=True)
    odd = [key for key in found if key[1] != "refused" or key[2] not in ("refused", "sound")]
    if odd:
        sys.exit(f"not all were refused: {odd[:5]}")


def counted(kind, found):
    """A row of the page: how many, refused in the wheel, refused as saved, read as saved."""
    mine = {key: n for key, n in found.items() if key[0] == kind}
    ends = ((1, "refused"), (2, "refused"), (2, "sound"))
    return (
        kind,
        sum(mine.values()),
        *(sum(n for key, n in mine.items() if key[at] == end) for at, end in ends),
    )


def page(rows, raw):
    """The page."""
    total, shipped = (sum(row[i] for row in rows) for i in (1, 2))
    own, sound = (sum(row[i] for row in rows) for i in (3, 4))
    table = "\n".join(f"| {' | '.join(map(str, row))} |" for row in rows)
    return TEXT.format(
        total=total, shipped=shipped, own=own, sound=sound, raw=raw, plants=len(NAMES), table=table
    )


TEXT = """# Damaged plants

Made by `make damage`. {total} damaged copies of {plants} plants, each read twice: in place of the
wheel's own, and as a plant that a user saved. Half were hashed anew after the damage, as an
attacker would.

- **In the wheel's place**: {shipped} of {total} are refused with an error that names the file and
  says what to do. What the wheel carries is pinned (`planted/models/index.json`),
  so a new digest in a file does not help.
- **As a saved plant**: {own} are refused, {sound} are read. Nothing pins a user's own file, so one
  that was altered with sense and hashed anew is another plant: its weights fit its description, it
  runs, and on 64 tasks it chooses, and its nodes hold, what the description says. A weight that
  differs in its last bits, or that no task uses, is such a one; so is another text in it.
- **Errors of any other type, and warnings**: {raw}.

| what was done | copies | refused in the wheel | refused as saved | read as saved |
| --- | --- | --- | --- | --- |
{table}
"""


if __name__ == "__main__":
    main()
