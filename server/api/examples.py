"""Example bodies in the OpenAPI document. A test sends every one of them as it stands."""

from __future__ import annotations

VIDEO_EXAMPLES = {
    "A prompt is enough": {"prompt": "pogo bouncing in a meadow"},
    "Every choice made": {
        "prompt": "pogo bouncing in a meadow",
        "negative_prompt": "cactus",
        "encoder": "base",
        "seed": 7,
        "steps": 8,
        "guidance": 5,
        "frames": 4,
        "fps": 8,
        "size": "256x256",
        "expires_after": 86400,
    },
}

ENCODER_EXAMPLES = {
    "Forget a character": {"id": "no-pogo", "concept": "pogo", "kind": "character"},
    "Forget two concepts": {
        "id": "no-pogo-no-neonix",
        "concepts": [
            {"concept": "pogo", "kind": "character"},
            {"concept": "neonix", "kind": "style"},
        ],
        "settings": {"seed": 1},
        "gate": {"tier": "quick", "max_probes": 16},
    },
    "Put published encoders together": {"id": "both", "compose": ["no-mira", "no-neonix"]},
}

WAYS_EXAMPLES = {
    "Ways to a person": {"concept": "mira", "kind": "person", "synonyms": ["our neighbour mira"]}
}

PROMPT_EXAMPLES = {"A prompt": {"prompt": "pogo and a helicopter in a meadow"}}

JUDGE_EXAMPLES = {"With the server's gate": {}, "In a hurry": {"gate": {"tier": "quick"}}}

ALIAS_EXAMPLES = {"Point to an encoder": {"encoder": "no-pogo"}}
