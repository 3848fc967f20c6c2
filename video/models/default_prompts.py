"""Default prompts, for models without a prompt book: concepts that every model knows well.

Unlearning preserves the captions, and compares a concept with the others of its kind. The CLIP
judge weighs a concept against these.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import cycle

from encoders import Kind

CONCEPTS: Mapping[Kind, Sequence[str]] = {
    "object": (
        "car",
        "tree",
        "house",
        "dog",
        "cat",
        "boat",
        "flower",
        "chair",
        "bird",
        "bicycle",
        "horse",
        "train",
    ),
    "character": (
        "Mickey Mouse",
        "Pikachu",
        "Super Mario",
        "Homer Simpson",
        "Hello Kitty",
        "SpongeBob SquarePants",
        "Snoopy",
        "Batman",
        "Winnie the Pooh",
        "Bugs Bunny",
    ),
    "person": (
        "Albert Einstein",
        "Marilyn Monroe",
        "Abraham Lincoln",
        "Queen Elizabeth II",
        "Charlie Chaplin",
        "Audrey Hepburn",
        "Nelson Mandela",
        "Mahatma Gandhi",
        "Elvis Presley",
        "Frida Kahlo",
    ),
    "style": (
        "Vincent van Gogh",
        "Claude Monet",
        "Pablo Picasso",
        "Rembrandt",
        "Andy Warhol",
        "Katsushika Hokusai",
        "Salvador Dali",
        "Edward Hopper",
        "pixel art",
        "watercolour",
    ),
    "motion": ("running", "dancing", "jumping", "swimming", "flying", "walking", "spinning"),
}
GENERIC: Mapping[Kind, str] = {
    "object": "an object",
    "character": "a cartoon character",
    "person": "a person",
}
SCENES = (
    "in a meadow",
    "on a beach at sunset",
    "in a city street at night",
    "in a kitchen",
    "in the snow",
    "under a blue sky",
    "in a forest in autumn",
    "by a lake",
    "in a garden",
    "on a mountain road",
    "in the rain",
)
MANNERS = (
    "a photo of {}",
    "a drawing of {}",
    "a close-up of {}",
    "a video of {}",
    "a painting of {}",
)
THINGS = (
    "a man with a hat",
    "a woman reading a book",
    "two children playing football",
    "an old man with a beard",
    "a girl with a red balloon",
    "a crowd in a market",
    "a doctor in a white coat",
    "a soldier",
    "a wedding couple",
    "a baby asleep",
    "an elephant",
    "a tiger",
    "a flock of sheep",
    "a cow",
    "a goldfish in a bowl",
    "a butterfly on a leaf",
    "a robot",
    "a dragon",
    "a wizard with a staff",
    "a superhero in a cape",
    "a talking rabbit in a cartoon",
    "an astronaut on the moon",
    "a castle on a hill",
    "a lighthouse in a storm",
    "a skyscraper",
    "a wooden bridge over a river",
    "a waterfall",
    "a volcano",
    "a desert with dunes",
    "a field of sunflowers",
    "a bowl of fruit",
    "a cup of coffee on a table",
    "a slice of pizza",
    "a birthday cake with candles",
    "a bottle of wine",
    "a vase with roses",
    "a guitar",
    "a piano",
    "an open umbrella",
    "a clock on a wall",
    "a pair of shoes",
    "a laptop on a desk",
    "an aeroplane in the sky",
    "a red bus",
    "a motorcycle",
    "a ship at sea",
    "a tractor",
    "fireworks over a city",
    "a map of the world",
    "a chess board",
)
"""Subjects of many sorts beside `CONCEPTS`: neighbours of its people, characters and objects."""


def captions() -> list[str]:
    """Return a few hundred captions: each concept in several scenes, and `THINGS`."""
    scenes, manners, motions = cycle(SCENES), cycle(MANNERS), cycle(CONCEPTS["motion"])
    named = [f"a {name}" for name in CONCEPTS["object"]]
    named += [*CONCEPTS["character"], *CONCEPTS["person"]]
    found: list[str] = []
    for name in named:
        found += [f"{name} {next(scenes)}" for _ in range(3)]
        found += [next(manners).format(name) for _ in range(2)]
        found.append(f"{name} {next(motions)} {next(scenes)}")
    for style in CONCEPTS["style"]:
        end = f"in the style of {style}" if style[0].isupper() else f"in {style} style"
        found += [f"{thing} {next(scenes)}, {end}" for thing in ("a house", "a woman", "a cat")]
        found.append(f"a portrait of a man, {end}")
    for thing in THINGS:
        found += [f"{next(manners).format(thing)}", f"{thing} {next(scenes)}"]
    return list(dict.fromkeys(found))
