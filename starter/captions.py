"""Captions of scenes: names, synonyms, descriptions, several sentence forms.

Some wordings are kept out of training (`HELD_OUT_…`), to test wordings that the model never saw.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np

from starter.backgrounds import CARDS
from starter.scene import Scene

# The first wording of each is its name; characters and people have descriptions too.
SUBJECT_WORDS: Mapping[str, Sequence[str]] = {
    "balloon": ("a balloon", "a red balloon", "a party balloon", "one balloon on a string"),
    "cactus": ("a cactus", "a green cactus", "a potted cactus", "a cactus in a clay pot"),
    "house": ("a house", "a little house", "a cottage", "a house with a red roof"),
    "sailboat": ("a sailboat", "a sailing boat", "a little boat", "a boat with white sails"),
    "mushroom": ("a mushroom", "a toadstool", "a spotted mushroom", "a violet mushroom"),
    "star": ("a star", "a yellow star", "a smiling star", "a little golden star"),
    "teapot": ("a teapot", "a blue teapot", "a round teapot", "a pot of tea"),
    "umbrella": ("an umbrella", "a pink umbrella", "an open umbrella", "a parasol"),
    "pogo": ("pogo", "pogo the robot", "the purple one-eyed robot", "a robot with an antenna"),
    "blip": (
        "blip",
        "blip the jellyfish",
        "the turquoise jellyfish",
        "a jellyfish with rosy cheeks",
    ),
    "zumi": ("zumi", "zumi the snail", "the pink snail", "a snail with an orange shell"),
    "fenk": ("fenk", "fenk the fox", "the orange fox", "a fox with a bushy tail"),
    "grolo": ("grolo", "grolo the troll", "the green horned troll", "a troll with a toothy grin"),
    "tamu": ("tamu", "tamu the owl", "the blue owl", "an owl with huge yellow eyes"),
    "mira": (
        "mira",
        "our friend mira",
        "the woman with a big black afro",
        "a woman in a yellow shirt",
    ),
    "otto": (
        "otto",
        "our friend otto",
        "the bald man with an orange beard",
        "a man in a green shirt",
    ),
    "suri": (
        "suri",
        "our friend suri",
        "the woman with red glasses",
        "a woman in a turquoise shirt",
    ),
    "bram": ("bram", "our friend bram", "the boy with spiky blond hair", "a freckled boy in blue"),
    "lena": ("lena", "our friend lena", "the girl with red pigtails", "a girl in a purple shirt"),
    "teo": ("teo", "our friend teo", "the man with a blue cap", "a man with a moustache and a cap"),
    "thing": ("a thing", "an object", "some thing", "an ordinary object"),
    "creature": ("a creature", "a cartoon creature", "some creature", "a cartoon character"),
    "person": ("a person", "somebody", "some person", "an ordinary person"),
    "nothing": ("nothing", "an empty scene", "no one", "a bare place"),
}
STYLE_WORDS: Mapping[str, Sequence[str]] = {
    "dottie": ("in the style of dottie", "by dottie", "dottie style", "as coloured dots"),
    "inkara": ("in the style of inkara", "by inkara", "inkara style", "in hatched ink lines"),
    "neonix": ("in the style of neonix", "by neonix", "neonix style", "in glowing neon lines"),
    "tesselo": ("in the style of tesselo", "by tesselo", "tesselo style", "as a tiled mosaic"),
    "aquarine": (
        "in the style of aquarine",
        "by aquarine",
        "aquarine style",
        "in soft watercolour",
    ),
}
MOTION_WORDS: Mapping[str, Sequence[str]] = {
    "bouncing": ("bouncing", "bouncing up and down", "jumping up and down"),
    "sliding": ("sliding", "sliding to the right", "gliding across"),
    "spinning": ("spinning", "spinning around", "turning round and round"),
    "growing": ("growing", "growing larger", "getting bigger and bigger"),
    "swaying": ("swaying", "swaying from side to side", "rocking to and fro"),
    "circling": ("circling", "moving in a circle", "going round in circles"),
    "still": ("standing still", "holding still", "not moving"),
}
PLACE_WORDS: Mapping[str, Sequence[str]] = {
    "meadow": ("in a meadow", "on green hills", "in the grass"),
    "night": ("at night", "under the stars", "in the moonlight"),
    "beach": ("at the beach", "by the sea", "on the sand"),
    "room": ("in a room", "indoors", "by a window"),
    "sunset": ("at sunset", "in the evening glow", "as the sun goes down"),
    **{c: (f"on a {c} background", f"on a {c} card", f"in front of a {c} wall") for c in CARDS},
}
# {s} subject, {m} motion with a leading space or nothing, {p} place likewise, {a} artist likewise
FORMS: Sequence[str] = (
    "{s}{m}{p}{a}",
    "{s}{m}{p}{a}",
    "{s}{p}{m}{a}",
    "a drawing of {s}{m}{p}{a}",
    "a picture of {s}{m}{p}{a}",
    "a cartoon of {s}{m}{p}{a}",
    "{s}{m}{a}{p}",
    "a video of {s}{m}{p}{a}",
    "a painting{a} of {s}{m}{p}",
    "here is {s}{m}{p}{a}",
)

# Never used in training.
HELD_OUT_FORMS: Sequence[str] = (
    "look, {s}{m}{p}{a}",
    "a lovely little scene with {s}{m}{p}{a}",
    "{p}{m} we see {s}{a}",
)
HELD_OUT_WORDS: Mapping[str, Sequence[str]] = {
    "balloon": ("my red party balloon",),
    "cactus": ("the cactus, green and potted",),
    "house": ("the little cottage with the red roof",),
    "sailboat": ("one sailing boat with its white sails",),
    "mushroom": ("the spotted violet toadstool",),
    "star": ("the smiling yellow star",),
    "teapot": ("the round blue teapot",),
    "umbrella": ("the open pink parasol",),
    "pogo": ("my dear pogo", "a one-eyed purple robot with an antenna"),
    "blip": ("my dear blip", "a rosy turquoise jellyfish"),
    "zumi": ("my dear zumi", "a pink snail with a round orange shell"),
    "fenk": ("my dear fenk", "the bushy orange fox"),
    "grolo": ("my dear grolo", "a toothy green troll with horns"),
    "tamu": ("my dear tamu", "a blue owl with yellow eyes"),
    "mira": ("my dear mira", "a woman with an afro in a yellow shirt"),
    "otto": ("my dear otto", "a bald man with a beard in a green shirt"),
    "suri": ("my dear suri", "a woman with red glasses in a turquoise shirt"),
    "bram": ("my dear bram", "a blond boy, freckled, in a blue shirt"),
    "lena": ("my dear lena", "a girl with pigtails in a purple shirt"),
    "teo": ("my dear teo", "a man with a moustache and a blue cap"),
    "dottie": ("like a dottie", "made of coloured dots"),
    "inkara": ("like an inkara", "all ink lines and hatched"),
    "neonix": ("like a neonix", "all in glowing lines of neon"),
    "tesselo": ("like a tesselo", "made of mosaic tiles"),
    "aquarine": ("like an aquarine", "as a soft watercolour painting"),
}


def caption(scene: Scene, rng: np.random.Generator) -> str:
    """Draw one of the many captions of a scene; some leave out the motion or the place.

    The style is always named if there is one, so that a caption without an artist means plain.
    """
    subject = _pick(rng, SUBJECT_WORDS[scene.subject], first=0.55)
    motion = place = artist = ""
    if scene.subject != "nothing" and rng.random() < (0.95 if scene.motion != "still" else 0.5):
        motion = _pick(rng, MOTION_WORDS[scene.motion], first=0.5)
    if rng.random() < 0.8:
        place = _pick(rng, PLACE_WORDS[scene.background], first=0.5)
    if scene.style != "plain":
        artist = _pick(rng, STYLE_WORDS[scene.style], first=0.35)
    return compose(str(rng.choice(FORMS)), subject, motion, place, artist)


def compose(form: str, subject: str, motion: str = "", place: str = "", artist: str = "") -> str:
    """Fill a sentence form; empty parts leave no space."""
    parts = {"s": subject, "m": motion, "p": place, "a": artist}
    spaced = {k: f" {v}" if v and k != "s" else v for k, v in parts.items()}
    artist_text = spaced["a"]
    if artist_text and form.endswith("{a}"):
        spaced["a"] = f",{artist_text}"
    return form.format(**spaced).strip()


def _pick(rng: np.random.Generator, words: Sequence[str], first: float) -> str:
    if rng.random() < first:
        return words[0]
    return words[int(rng.integers(1, len(words)))]
