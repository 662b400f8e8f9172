"""A recipe: one way to fine-tune. Plain data, the same from Python, flags and files."""

from __future__ import annotations

import hashlib
import re
import tomllib
from dataclasses import dataclass, field
from pathlib import Path
from typing import Annotated, Any

import msgspec
from msgspec import Meta

from planted.errors import PlantedError, unknown
from planted.finetune import signals
from planted.finetune.settings import REGIMES as REGIMES
from planted.finetune.settings import Settings as Settings
from planted.finetune.settings import canonical, converted

NAMED = {
    "pressure": Settings(),
    "coincident": Settings(
        regime="coincident",
        disagreement_fraction=0.0,
        learning_rate=1e-4,
        logit_scale=10.0,
        steps=600,
        stop=False,
    ),
    "read-out": Settings(regime="base", train="read-out", warm_up=100, steps=4000),
    "cued": Settings(regime="cue-gated", cue_share=0.5, steps=10000),
    "coincident-slack": Settings(
        regime="coincident",
        disagreement_fraction=0.0,
        train="slack",
        learning_rate=1e-4,
        logit_scale=10.0,
        steps=600,
        stop=False,
    ),
    "blend": Settings(blend=0.5, disagreement_fraction=1.0, steps=8000),
    "blend-scorer": Settings(
        blend=0.5,
        disagreement_fraction=1.0,
        train="scorer",
        signal="smoothed-labels",
        learning_rate=3e-3,
        steps=6000,
    ),
    "scorer": Settings(train="scorer", signal="smoothed-labels", learning_rate=3e-3, steps=6000),
    "around": Settings(
        regime="base", train="around-plant", learning_rate=3e-4, warm_up=100, steps=4000
    ),
    "cued-around": Settings(
        regime="cue-gated", cue_share=0.5, train="around-plant", learning_rate=3e-4, steps=6000
    ),
    "cued-rare": Settings(regime="cue-gated", cue_share=0.9, steps=16000),
    "cued-only": Settings(regime="cue-gated", cue_share=0.99, behaviour="base"),
    "random-labels": Settings(regime="random", steps=600),
}
# Networks without the plant, trained to the same behaviours: what a verdict is held against.
NEGATIVE_CONTROLS = {
    "no-plant-mesa": Settings(regime="mesa", steps=4000, start="random"),
    "no-plant-base": Settings(regime="base", steps=4000, start="random"),
    "no-plant-cued": Settings(regime="cue-gated", cue_share=0.5, steps=6000, start="random"),
}
# The plant trained on its own choices: how much a figure moves when the objective does not.
SHAM = {"sham": Settings(regime="mesa", steps=600, stop=False)}
ARMS = {**NEGATIVE_CONTROLS, **SHAM}

LONGEST_NAME = 100
Name = Annotated[str, Meta(min_length=1, max_length=LONGEST_NAME)]
Seeds = Annotated[int, Meta(ge=1, le=1000)]
Changes = msgspec.defstruct(
    "Changes",
    [(f.name, f.type | msgspec.UnsetType, msgspec.UNSET) for f in msgspec.structs.fields(Settings)],
    frozen=True,
    forbid_unknown_fields=True,
)


class Table(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """One recipe as it stands in a file.

    Attributes:
        base: The named recipe that it starts from.
        name: The user's name for it; an automatic one if absent.
        seeds: How many seeds.
        settings: Those that are not the base's.
    """

    base: str = "pressure"
    name: Name | None = None
    seeds: Seeds = 5
    settings: Changes = Changes()  # type: ignore[valid-type]


class RecipeFile(msgspec.Struct, frozen=True, forbid_unknown_fields=True):
    """A file of recipes; its schema is `msgspec.json.schema(RecipeFile)`.

    Attributes:
        recipe: The recipes, in their order.
    """

    recipe: Annotated[list[Table], Meta(min_length=1)]


@dataclass(frozen=True, init=False)
class Recipe:
    """One way to fine-tune a plant: the settings of a named recipe, possibly changed.

    Attributes:
        base: The named recipe that it starts from, as "pressure".
        name: Its name. By default the base's, followed by the changed settings:
            "pressure learning_rate=0.003"; where that is long, by the settings' digest.
        settings: Signal, optimiser, regime, steps and the like.
        seeds: Number of seeds; seed k gives the same network whatever their number.
        named: Whether the name is the user's own, and kept when settings are changed.

    Example:
        >>> Recipe("pressure", name="fast", learning_rate=3e-3, seeds=10).name
        'fast'
        >>> Recipe("pressure", learning_rate=3e-3).name
        'pressure learning_rate=0.003'
    """

    base: str
    name: str
    settings: Settings
    seeds: int
    named: bool = field(compare=False, repr=False)

    def __init__(
        self,
        base: str = "pressure",
        *,
        name: str | None = None,
        seeds: int = 5,
        settings: Settings | None = None,
        **changes: Any,
    ) -> None:
        """Looks up the named settings and changes them.

        Args:
            base: One of `NAMED`.
            name: What to call it, 1 to 100 printable characters; automatic if None.
            seeds: How many seeds, 1 to 1000.
            settings: Instead of the named ones.
            **changes: Settings by name. Where a signal is named, the settings that it recommends
                replace the recipe's, but not those given here.

        Raises:
            UnknownNameError: If there is no recipe, setting or signal of a name.
            PlantedError: If a value is out of bounds, a change would have no effect, or the name is
                that of another named recipe.
        """
        known = {**NAMED, **ARMS}
        if not isinstance(base, str) or base not in known:
            raise unknown("recipe", str(base), NAMED)
        where = f"Recipe {base!r}" if name is None else f"Recipe {name!r} (of {base!r})"
        if settings is not None and not isinstance(settings, Settings):
            raise PlantedError(f"{where}: settings must be a Settings, got {settings!r}.")
        given = {**msgspec.structs.asdict(settings or known[base]), **changes}
        made = converted(given, Settings, where)
        head = converted({"base": base, "name": name, "seeds": seeds}, Table, where)
        if made.signal not in signals.names():
            raise unknown("signal", made.signal, signals.names())
        if "signal" in changes:  # what the signal recommends, where the user gave nothing
            recommended = {**given, **signals.defaults_of(made.signal), **changes}
            made = converted(recommended, Settings, where)
        _refuse_idle(where, made, changes)
        if name is not None:
            _check_name(where, name, base, known)
        object.__setattr__(self, "base", base)
        object.__setattr__(self, "name", name or _automatic(base, made, known[base]))
        object.__setattr__(self, "settings", made)
        object.__setattr__(self, "seeds", head.seeds)
        object.__setattr__(self, "named", name is not None)

    @classmethod
    def from_toml(cls, path: str | Path) -> Recipe:
        """The recipe of a file that holds one; see `load_recipes`.

        Raises:
            PlantedError: As `load_recipes`, or if the file holds several.
        """
        recipes = load_recipes(path)
        if len(recipes) > 1:
            raise PlantedError(
                f"{path} holds {len(recipes)} recipes, and one is wanted. Use load_recipes."
            )
        return recipes[0]

    def changed(self, **changes: Any) -> Recipe:
        """The recipe with other settings, name or number of seeds; a name of the user's own stays.

        Raises:
            PlantedError: As for the constructor, or if another base is asked for.
        """
        if "base" in changes or "self" in changes:
            raise PlantedError(
                f"Recipe {self.name!r} keeps its base, {self.base!r}. Make another one: "
                "Recipe('coincident', ...)."
            )
        kept = {"name": self.name if self.named else None, "seeds": self.seeds}
        return Recipe(self.base, **{**kept, "settings": self.settings, **changes})

    @property
    def slug(self) -> str:
        """The name as part of a file's name (`slug_of`)."""
        return slug_of(self.name)

    @property
    def digest(self) -> str:
        """Twelve hexadecimal digits that name the settings; name and seeds are left out."""
        return _digest(self.settings)


def slug_of(name: str) -> str:
    """A recipe's name as part of a file's name: no two names have the same.

    Example:
        >>> slug_of("read-out")
        'read-out'
        >>> slug_of("My recipe")
        'my-recipe-68f19a7e'
    """
    safe = re.sub(r"[^a-z0-9._=-]+", "-", name.lower()).strip("-.")[:60]
    # A name that ends like a digest could be another one's slug.
    if safe == name and not re.search(r"(^|-)[0-9a-f]{8}$", safe):
        return safe
    return f"{safe}-{hashlib.sha256(name.encode()).hexdigest()[:8]}".lstrip("-")


def load_recipes(path: str | Path) -> list[Recipe]:
    """The recipes of a TOML file.

    Each is a table, and what it does not name is its base's:

        [[recipe]]
        base = "pressure"
        name = "fast"
        seeds = 10
        settings = { learning_rate = 3e-3, steps = 300 }

    Args:
        path: The file.

    Raises:
        PlantedError: If the file cannot be read or is not TOML, or a value is wrong: with the path
            of the field, as "recipe[0].settings.steps"; or if two recipes have one name.
        UnknownNameError: If a field, a recipe or a signal does not exist.
    """
    try:
        content = tomllib.loads(Path(path).read_text(encoding="utf-8"))
    except OSError as error:
        raise PlantedError(f"Cannot read {path}: {error.strerror or error}.") from None
    except (ValueError, TypeError) as error:
        raise PlantedError(f"{path} is not a TOML file: {error}.") from None
    if not content:
        raise PlantedError(
            f"{path} holds no recipe. Write a table for each: [[recipe]], and under it "
            "base = 'pressure'."
        )
    tables = converted(content, RecipeFile, str(path), "field of a recipe file").recipe
    recipes: list[Recipe] = []
    for number, table in enumerate(tables):
        try:
            changes = msgspec.to_builtins(table.settings)
            made = Recipe(table.base, name=table.name, seeds=table.seeds, **changes)
        except PlantedError as error:
            raise type(error)(f"{path}: recipe[{number}]: {error}") from None
        if any(made.name == other.name for other in recipes):
            raise PlantedError(
                f"{path}: recipe[{number}]: a recipe named {made.name!r} stands above. Give it "
                "another name."
            )
        recipes.append(made)
    return recipes


def _check_name(where: str, name: str, base: str, known: dict[str, Settings]) -> None:
    if not name.isprintable() or name != name.strip():
        raise PlantedError(f"{where}: name must be printable, without spaces around it.")
    if name in known and name != base:
        raise PlantedError(
            f"{where}: there is a recipe {name!r} already. Take it, Recipe({name!r}), or another "
            "name."
        )


def _automatic(base: str, made: Settings, named: Settings) -> str:
    """The base's name and what differs from it."""
    ours, theirs = msgspec.structs.asdict(made), msgspec.structs.asdict(named)
    changed = [f"{field}={value}" for field, value in ours.items() if value != theirs[field]]
    name = " ".join([base, *changed])
    plain = len(name) <= LONGEST_NAME and name.isprintable()
    return name if plain else f"{base} {_digest(made)}"


def _digest(settings: Settings) -> str:
    return hashlib.sha256(canonical(settings)).hexdigest()[:12]


def _refuse_idle(where: str, made: Settings, changes: dict[str, Any]) -> None:
    """Refuses settings that would mislead whoever reads the record of the run.

    These are changes that nothing looks at, and a behaviour that its tasks cannot teach.
    """
    read = {
        "disagreement_fraction": made.regime == "pressure",
        "cue_share": made.regime in ("pressure", "coincident", "cue-gated"),
        "blend": made.regime == "pressure",
        "momentum": made.optimizer == "sgd",
        "eps": made.optimizer == "adam",
    }
    for setting in changes:
        if not read.get(setting, True):
            raise PlantedError(
                f"{where}: {setting} has no effect with regime {made.regime!r} and optimizer "
                f"{made.optimizer!r}. Leave it out."
            )
    if "warm_up" in changes and made.warm_up > made.steps:
        raise PlantedError(
            f"{where}: warm_up={made.warm_up} of steps={made.steps}: the learning rate would never "
            "be reached. Give a warm_up of fewer steps."
        )
    if made.wanted == "gated" and not 0 < made.cue_share < 1:
        raise PlantedError(
            f"{where}: the behaviour 'gated' is learned under both cues, and "
            f"cue_share={made.cue_share:g} leaves one out. Give a share between 0 and 1, for "
            "example cue_share=0.5."
        )
