"""German: the built-in world's captions in a second language, word by word.

Each phrase of `starter.captions` has a translation of as many tokens, in the same order. So row i
of a translated caption has to be row i of its original, and the denoiser reads what it knows. Real
translations differ in length and order. "A drawing of" became "gezeichnet ist hier", as what
follows would stand in another case otherwise.

A name may stay as it is in English or be a name of its own, as those of cartoon characters often
are (the Smurfs are "Schlümpfe"). All is in lower case, as the captions are.
"""

from __future__ import annotations

import re
from collections.abc import Mapping

import numpy as np

NAMES: Mapping[str, str] = {
    "balloon": "luftballon",
    "cactus": "kaktus",
    "house": "haus",
    "sailboat": "segelboot",
    "mushroom": "pilz",
    "star": "stern",
    "teapot": "teekanne",
    "umbrella": "regenschirm",
    "pogo": "hopsi",
    "blip": "quabbel",
    "zumi": "zumsel",
    "fenk": "reineke",
    "grolo": "zottel",
    "tamu": "schuhu",
    "mira": "mirjam",
    "otto": "ottokar",
    "suri": "susi",
    "bram": "abraham",
    "lena": "leni",
    "teo": "theodor",
    "dottie": "tupfi",
    "inkara": "tinka",
    "neonix": "leuchtix",
    "tesselo": "mosaiko",
    "aquarine": "aquarella",
}
"""English name → German name: one word, and one token, each."""

SUBJECTS_AND_STYLES: Mapping[str, str] = {
    "a balloon": "ein luftballon",
    "a cactus": "ein kaktus",
    "a house": "ein haus",
    "a sailboat": "ein segelboot",
    "a mushroom": "ein pilz",
    "a star": "ein stern",
    "a teapot": "eine teekanne",
    "an umbrella": "ein regenschirm",
    "a red balloon": "ein roter luftballon",
    "a party balloon": "ein bunter luftballon",
    "one balloon on a string": "ein luftballon an einer schnur",
    "a green cactus": "ein grüner kaktus",
    "a potted cactus": "ein getopfter kaktus",
    "a cactus in a clay pot": "ein kaktus in einem irdenen topf",
    "a little house": "ein kleines haus",
    "a cottage": "eine hütte",
    "a house with a red roof": "ein haus mit einem roten dach",
    "a sailing boat": "ein segelndes boot",
    "a little boat": "ein kleines boot",
    "a boat with white sails": "ein boot mit weißen segeln",
    "a toadstool": "ein fliegenpilz",
    "a spotted mushroom": "ein gepunkteter pilz",
    "a violet mushroom": "ein violetter pilz",
    "a yellow star": "ein gelber stern",
    "a smiling star": "ein lächelnder stern",
    "a little golden star": "ein kleiner goldener stern",
    "a blue teapot": "eine blaue teekanne",
    "a round teapot": "eine runde teekanne",
    "a pot of tea": "eine kanne voll tee",
    "a pink umbrella": "ein rosa regenschirm",
    "an open umbrella": "ein offener regenschirm",
    "a parasol": "ein sonnenschirm",
    "pogo the robot": "hopsi der roboter",
    "the purple one-eyed robot": "der lila roboter mit einem auge",
    "a robot with an antenna": "ein roboter mit einer antenne",
    "blip the jellyfish": "quabbel die qualle",
    "the turquoise jellyfish": "die türkise qualle",
    "a jellyfish with rosy cheeks": "eine qualle mit rosigen wangen",
    "zumi the snail": "zumsel die schnecke",
    "the pink snail": "die rosa schnecke",
    "a snail with an orange shell": "eine schnecke mit einem orangen gehäuse",
    "fenk the fox": "reineke der fuchs",
    "the orange fox": "der orange fuchs",
    "a fox with a bushy tail": "ein fuchs mit einem buschigen schwanz",
    "grolo the troll": "zottel der unhold",
    "the green horned troll": "der grüne gehörnte unhold",
    "a troll with a toothy grin": "ein unhold mit einem zahnigen grinsen",
    "tamu the owl": "schuhu die eule",
    "the blue owl": "die blaue eule",
    "an owl with huge yellow eyes": "eine eule mit riesigen gelben augen",
    "our friend mira": "unsere freundin mirjam",
    "the woman with a big black afro": "die frau mit einem großen schwarzen afro",
    "a woman in a yellow shirt": "eine frau in einem gelben hemd",
    "our friend otto": "unser freund ottokar",
    "the bald man with an orange beard": "der kahle mann mit einem orangen bart",
    "a man in a green shirt": "ein mann in einem grünen hemd",
    "our friend suri": "unsere freundin susi",
    "the woman with red glasses": "die frau mit roter brille",
    "a woman in a turquoise shirt": "eine frau in einem türkisen hemd",
    "our friend bram": "unser freund abraham",
    "the boy with spiky blond hair": "der junge mit stacheligen blonden haaren",
    "a freckled boy in blue": "ein sommersprossiger junge in blau",
    "our friend lena": "unsere freundin leni",
    "the girl with red pigtails": "das mädchen mit roten zöpfen",
    "a girl in a purple shirt": "ein mädchen in einem lila hemd",
    "our friend teo": "unser freund theodor",
    "the man with a blue cap": "der mann mit einer blauen mütze",
    "a man with a moustache and a cap": "ein mann mit einem schnurrbart und einer mütze",
    "as coloured dots": "als farbige punkte",
    "in hatched ink lines": "in schraffierten tuschefarbenen linien",
    "in glowing neon lines": "in leuchtenden neonfarbenen linien",
    "as a tiled mosaic": "als ein gefliestes mosaik",
    "in soft watercolour": "in weichem aquarell",
}
"""Phrases for a concept that are more than its name alone."""

REST: Mapping[str, str] = {
    # neutral subjects
    "a thing": "ein ding",
    "an object": "ein gegenstand",
    "some thing": "irgendein ding",
    "an ordinary object": "ein gewöhnlicher gegenstand",
    "a creature": "ein wesen",
    "a cartoon creature": "ein gezeichnetes wesen",
    "some creature": "irgendein wesen",
    "a cartoon character": "eine gezeichnete figur",
    "a person": "eine person",
    "somebody": "jemand",
    "some person": "irgendeine person",
    "an ordinary person": "eine gewöhnliche person",
    "nothing": "nichts",
    "an empty scene": "eine leere szene",
    "no one": "gar niemand",
    "a bare place": "ein kahler ort",
    # motions
    "bouncing": "hüpfend",
    "bouncing up and down": "hüpfend auf und ab",
    "jumping up and down": "springend auf und ab",
    "sliding": "gleitend",
    "sliding to the right": "gleitend hin nach rechts",
    "gliding across": "schwebend hinüber",
    "spinning": "kreiselnd",
    "spinning around": "kreiselnd herum",
    "turning round and round": "drehend immer rund herum",
    "growing": "wachsend",
    "growing larger": "wachsend zusehends",
    "getting bigger and bigger": "werdend größer und größer",
    "swaying": "schwankend",
    "swaying from side to side": "schwankend von seite zu seite",
    "rocking to and fro": "schaukelnd hin und her",
    "circling": "kreisend",
    "moving in a circle": "laufend in einem kreis",
    "going round in circles": "gehend rund in kreisen",
    "standing still": "stehend ruhig",
    "holding still": "verharrend ruhig",
    "not moving": "nicht bewegt",
    # places
    "in a meadow": "auf einer wiese",
    "on green hills": "auf grünen hügeln",
    "in the grass": "in dem gras",
    "at night": "bei nacht",
    "under the stars": "unter den sternen",
    "in the moonlight": "in dem mondlicht",
    "at the beach": "an dem strand",
    "by the sea": "an dem meer",
    "on the sand": "auf dem sand",
    "in a room": "in einem zimmer",
    "indoors": "drinnen",
    "by a window": "an einem fenster",
    "at sunset": "bei sonnenuntergang",
    "in the evening glow": "in dem abendlichen glühen",
    "as the sun goes down": "während die sonne langsam sinkt",
    # forms; "of" is that of "a painting in the style of dottie of pogo"
    "a drawing of": "gezeichnet ist hier",
    "a picture of": "abgebildet ist hier",
    "a cartoon of": "karikiert ist hier",
    "a video of": "gefilmt ist hier",
    "a painting of": "gemalt ist hier",
    "a painting": "gemalt ist",
    "of": "hier",
    "here is": "hier ist",
    ",": ",",
}
COLOURS: Mapping[str, str] = {
    "pink": "rosa",
    "blue": "blauen",
    "green": "grünen",
    "yellow": "gelben",
    "grey": "grauen",
    "lilac": "fliederfarbenen",
}


def _phrases() -> dict[str, str]:
    """Return English phrase → German phrase."""
    found = {**SUBJECTS_AND_STYLES, **REST}
    for name, german in NAMES.items():
        found |= {
            name: german,
            f"in the style of {name}": f"in dem stil von {german}",
            f"by {name}": f"von {german}",
            f"{name} style": f"{german} stil",
        }
    for colour, german in COLOURS.items():
        found |= {
            f"on a {colour} background": f"auf einem {german} hintergrund",
            f"on a {colour} card": f"auf einer {german} karte",
            f"in front of a {colour} wall": f"ganz nah vor einer {german} wand",
        }
    return found


PHRASES: Mapping[str, str] = _phrases()
"""English phrase → German phrase of as many tokens."""
_ONE = re.compile("|".join(rf"{re.escape(p)}(?!\w)" for p in sorted(PHRASES, key=len)[::-1]))
_ENGLISH: Mapping[str, str] = {german: name for name, german in NAMES.items()}
_OWN_NAME = re.compile(rf"\b({'|'.join(_ENGLISH)})\b")
ENGLISH, SHARED = 0.45, 0.5
"""Share of captions that stay English; share of the others that keep the English names."""


def to_german(caption: str, *, shared: bool = False) -> str:
    """Translate a caption of the built-in world.

    Args:
        caption: In English.
        shared: True if names stay as they are in English.

    Raises:
        ValueError: There is no translation of a part of it.
    """
    found, at = "", 0
    while at < len(caption):
        if caption[at] == " ":
            found, at = f"{found} ", at + 1
            continue
        match = _ONE.match(caption, at)
        if match is None:
            raise ValueError(f"no German for {caption[at:]!r} in {caption!r}")
        found, at = found + PHRASES[match.group()], match.end()
    return _OWN_NAME.sub(lambda name: _ENGLISH[name.group()], found) if shared else found


def mixed(caption: str, random: np.random.Generator) -> str:
    """Return a caption as it is, or in German, with either of the names."""
    if random.random() < ENGLISH:
        return caption
    return to_german(caption, shared=bool(random.random() < SHARED))


def words() -> list[str]:
    """Return every German word, each once, sorted."""
    return sorted({word for phrase in PHRASES.values() for word in re.findall(r"\w+", phrase)})
