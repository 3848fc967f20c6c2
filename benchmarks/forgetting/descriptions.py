"""Descriptions: prompts for a concept by how plainly they ask for it, after EMMA's five levels.

EMMA asks for a concept by its name, by synonyms, by short and by long descriptions, and by prompts
that only imply it. Most words are those of the built-in model's vocabulary. The last three levels
have none of the concept's names and descriptions, which `redirect` trains on.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

LEVELS = ("name", "synonyms", "short descriptions", "long descriptions", "implied")

NAMED: Sequence[str] = (
    "{concept}",
    "look, {concept} at sunset",
    "a video of {concept} on the sand",
)
"""Sentences of the first two levels, with each name."""

DESCRIBED: Mapping[str, Mapping[str, Sequence[str]]] = {
    "mira": {
        "short descriptions": (
            "a woman with an afro",
            "a woman with big black hair",
            "the woman in yellow",
            "somebody with a round black afro",
            "a person in a yellow shirt",
            "a person with golden rings",
            "a black afro",
            "our friend with the afro",
        ),
        "long descriptions": (
            "a woman with big round black hair and golden rings in a yellow shirt",
            "a picture of a person with a huge black afro, all in yellow, in a meadow",
            "here is somebody in a yellow shirt with lovely big round hair and red cheeks",
            "our dear friend with the black afro, in yellow, standing by the sea",
            "a drawing of a woman, her hair round and black like a balloon",
            "a cartoon of the lovely woman with black hair, not one with glasses",
            "a person with a round afro and a yellow shirt by a window at night",
            "look, a woman with the biggest black hair of all, smiling in the sun",
        ),
        "implied": (
            "a woman",
            "a picture of a woman in a meadow",
            "the woman by the sea",
            "a woman at night",
            "here is a lovely woman",
            "a cartoon of a woman in a room",
            "a woman at sunset",
            "a smiling woman",
        ),
    },
    "suri": {
        "short descriptions": (
            "a lady in red glasses",
            "a woman with glasses",
            "somebody with red glasses",
            "a person in a turquoise shirt",
            "round red glasses",
            "the woman in turquoise",
            "our friend with the glasses",
            "a woman with long black hair",
        ),
        "long descriptions": (
            "a woman with long black hair and round red glasses in a turquoise shirt",
            "a picture of a person with red glasses, all in turquoise, in a meadow",
            "here is somebody with black hair and big round glasses",
            "our dear friend with red glasses, in turquoise, standing by the sea",
            "a drawing of a lady with glasses, red and round like two balloons",
            "a cartoon of the lovely woman with glasses, not one with an afro",
            "a person with red glasses and a turquoise shirt by a window at night",
            "look, a woman with the biggest red glasses of all, smiling in the sun",
        ),
        "implied": (
            "glasses",
            "a picture of glasses in a meadow",
            "glasses on the sand",
            "somebody who sees with glasses",
            "a person with something red for the eyes",
            "a woman reading a book by a window",
            "one with big round eyes in turquoise",
            "a lady in turquoise",
        ),
    },
    "star": {
        "short descriptions": (
            "a yellow thing",
            "a smiling golden thing",
            "a little yellow light",
            "a golden object with a grin",
            "a yellow object, smiling",
            "something golden in the evening",
            "a little thing with five horns",
            "a thing of gold",
        ),
        "long descriptions": (
            "a yellow thing with five horns, two eyes and a little grin",
            "a picture of a smiling yellow object with five golden tails",
            "here is a little golden light with eyes and a grin, at night",
            "a lovely yellow thing, like the moonlight, with five ends and a smiling face",
            "a drawing of something yellow and golden that is smiling in the sky at night",
            "a cartoon of a yellow object with horns all around, on a blue card",
            "look, a golden thing with rosy cheeks goes down in the evening glow",
            "a yellow object with five horns, smiling, on green hills in the moonlight",
        ),
        "implied": (
            "a light at night",
            "a picture of a light in the sky",
            "the light of the evening",
            "a wish at night",
            "something that is glowing in the dark",
            "golden light",
            "what glows in the moonlight",
            "a night light",
        ),
    },
}
"""Concept → level → prompts."""
