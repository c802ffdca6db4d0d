"""English captions for clips: varied wording and synonyms, and the resulting list of words.

A caption is drawn at random from templates. Each missing part has one fixed meaning, so the model does not have to
guess. Without a background the clip is on white (on black for shapes that are invisible on white). Without a motion
it is still. `vocabulary` reads the same tables, so a word is known exactly if some caption can contain it.
"""

import re

import numpy as np

from scripts.demo_model.world import BACKGROUNDS, COLOURS, MOTIONS, SHAPES, Clip, visible

COLOUR_WORDS: dict[str, tuple[str, ...]] = {
    "red": ("red", "red", "red", "crimson", "scarlet"),
    "orange": ("orange",),
    "yellow": ("yellow", "yellow", "yellow", "golden"),
    "green": ("green", "green", "green", "emerald"),
    "cyan": ("cyan", "turquoise", "teal"),
    "blue": ("blue",),
    "purple": ("purple", "purple", "violet"),
    "pink": ("pink", "pink", "rose"),
    "white": ("white",),
    "black": ("black",),
}
SHAPE_WORDS: dict[str, tuple[str, ...]] = {
    "ball": ("ball", "ball", "ball", "circle", "sphere", "disc", "dot"),
    "square": ("square", "square", "box", "block", "cube"),
    "triangle": ("triangle", "triangle", "pyramid"),
    "ring": ("ring", "ring", "hoop", "donut"),
    "star": ("star",),
    "heart": ("heart",),
}
MOTION_WORDS: dict[str, tuple[str, ...]] = {
    "left": (
        "moving left",
        "moving to the left",
        "moves left",
        "going left",
        "sliding to the left",
        "flying left",
        "drifting left",
        "rolling to the left",
        "moving from right to left",
    ),
    "right": (
        "moving right",
        "moving to the right",
        "moves right",
        "going right",
        "sliding to the right",
        "flying right",
        "drifting right",
        "rolling to the right",
        "moving from left to right",
    ),
    "up": (
        "moving up",
        "moves up",
        "going up",
        "rising",
        "rises",
        "floating up",
        "moving upwards",
        "flying up",
    ),
    "down": (
        "moving down",
        "moves down",
        "going down",
        "falling",
        "falls",
        "dropping",
        "sinking",
        "moving downwards",
        "falling down",
    ),
    "bouncing": ("bouncing", "bouncing", "bounces", "bouncing up and down", "jumping", "jumping up and down"),
    "circling": (
        "circling",
        "moving in a circle",
        "going in circles",
        "circles around",
        "orbiting",
        "going round and round",
    ),
    "growing": ("growing", "grows", "getting bigger", "growing larger", "expanding", "becoming bigger"),
    "shrinking": ("shrinking", "shrinks", "getting smaller", "becoming smaller"),
    "spinning": ("spinning", "spins", "rotating", "turning", "spinning around", "rotating in place"),
    "still": ("", "", "standing still", "not moving", "resting", "staying still", "that does not move"),
}
BACKGROUND_WORDS: dict[str, tuple[str, ...]] = {
    "white": (
        "on a white background",
        "on a white background",
        "on white",
        "against a white background",
        "in front of a white wall",
    ),
    "black": (
        "on a black background",
        "on a black background",
        "on black",
        "against a black background",
        "in the dark",
        "in darkness",
    ),
    "gray": (
        "on a gray background",
        "on a grey background",
        "on gray",
        "against a grey background",
        "in front of a gray wall",
    ),
    "sky": (
        "in the sky",
        "in a blue sky",
        "on a sky background",
        "against the sky",
        "on a light blue background",
        "on a sky blue background",
    ),
    "beige": (
        "on a beige background",
        "on beige",
        "on a sand background",
        "against a beige background",
        "on a cream background",
    ),
    "navy": (
        "on a navy background",
        "on a dark blue background",
        "on navy",
        "against a dark blue background",
        "on a navy blue background",
    ),
}
OPENINGS = ("",) * 8 + ("a video of", "an animation of", "a clip of")

SCENE_WORDS: dict[str, tuple[str, ...]] = {
    "shooting stars": (
        "shooting stars over a night sky",
        "shooting stars in the night sky",
        "a meteor shower at night",
        "falling stars cross a starry sky",
        "meteors in a starry night sky",
        "shooting stars",
    ),
    "rain": (
        "rain over a neon city at night",
        "a neon city in the rain",
        "rain falling on a city at night",
        "a rainy night in a neon city",
        "heavy rain over neon buildings",
        "rainy city",
    ),
    "snow": (
        "snow over a neon city at night",
        "a neon city in the snow",
        "snow falling on a city at night",
        "a snowy night in a neon city",
        "snowflakes over neon buildings",
        "snowy city",
    ),
    "sunrise": (
        "sunrise over the sea",
        "the sun rises over the sea",
        "the sun rising over the ocean",
        "a sunrise at sea",
        "dawn over the ocean",
        "sunrise",
    ),
    "sunset": (
        "sunset over the sea",
        "the sun sets over the sea",
        "the sun setting over the ocean",
        "a sunset at sea",
        "dusk over the ocean",
        "sunset",
    ),
    "sailing": (
        "a {colour} sailing boat on the waves",
        "waves with a {colour} sailing boat",
        "a boat with a {colour} sail on the sea",
        "a {colour} sailboat crossing the ocean",
        "a {colour} sail boat at sea",
    ),
    "fireworks": (
        "fireworks over a skyline",
        "fireworks over a city at night",
        "fireworks in the night sky",
        "colorful fireworks over the city",
        "fireworks exploding above a skyline",
        "fireworks",
    ),
    "car by day": (
        "a {colour} car driving by day",
        "a {colour} car driving on a sunny day",
        "a {colour} car on a road in the sun",
        "a {colour} car drives along a road",
        "a {colour} car driving down the street",
    ),
    "car by night": (
        "a {colour} car driving by night",
        "a {colour} car driving at night",
        "a {colour} car with headlights on a dark road",
        "a {colour} car drives through the night",
        "a {colour} car on a road at night",
    ),
    "fish": (
        "a {colour} fish swimming with bubbles",
        "a {colour} fish under water",
        "a {colour} fish swims in the sea with bubbles",
        "a {colour} fish swimming underwater",
        "a {colour} fish in an aquarium",
    ),
    "campfire": (
        "a campfire at night",
        "a campfire burning in the dark",
        "flames of a campfire",
        "a burning fire with sparks at night",
        "a bonfire flickering at night",
        "campfire",
    ),
    "planet": (
        "a {colour} planet with its moon",
        "a moon orbiting a {colour} planet",
        "a {colour} planet and its moon in space",
        "a moon circling around a {colour} planet",
        "a {colour} planet in outer space",
    ),
    "bird": (
        "a bird over hills",
        "a bird flying over green hills",
        "a bird flies over the hills",
        "a black bird flying above the hills",
        "a bird flapping its wings over hills",
    ),
}

EXAMPLES = (
    "a red ball bouncing on a white background",
    "a boat with a white sail on the sea",
    "a campfire at night",
    "shooting stars over a night sky",
    "an orange fish swimming with bubbles",
    "a blue car driving at night",
    "a yellow star circling on a navy background",
    "snow over a neon city at night",
)
"""The prompts that the app offers: the ones that work best."""


def default_background(colour: str) -> str:
    """The background of a prompt that names none."""
    return "white" if visible(colour, "white") else "black"


def _with_article(phrase: str) -> str:
    return ("an " if phrase[0] in "aeiou" else "a ") + phrase


def _choose(rng: np.random.Generator, options: tuple[str, ...]) -> str:
    return options[int(rng.integers(len(options)))]


def plain_caption(clip: Clip) -> str:
    """Caption a single shape completely and in the plainest words, for the evaluation."""
    motion = MOTION_WORDS[clip.motion][0] or "standing still"
    subject = _with_article(f"{clip.colour} {clip.shape}")
    return f"{subject} {motion} {BACKGROUND_WORDS[clip.background][0]}"


def caption(clip: Clip, rng: np.random.Generator) -> str:
    """Draw a caption for a clip, in lower case and without a full stop."""
    if clip.kind == "scene":
        text = _choose(rng, SCENE_WORDS[clip.scene])
        if clip.colour:
            word = clip.colour
            text = text.replace("a {colour}", _with_article(word)).replace("{colour}", word)
        return text
    subject = _with_article(
        f"{_choose(rng, COLOUR_WORDS[clip.colour])} {_choose(rng, SHAPE_WORDS[clip.shape])}"
    )
    if clip.kind == "pair":
        other = (
            f"{_choose(rng, COLOUR_WORDS[clip.second_colour])} {_choose(rng, SHAPE_WORDS[clip.second_shape])}"
        )
        joint = " and " if rng.random() < 0.75 else " next to "
        subject += joint + _with_article(other)
    background = _choose(rng, BACKGROUND_WORDS[clip.background])
    if clip.background == default_background(clip.colour) and rng.random() < 0.3:
        background = ""
    parts = [subject, _choose(rng, MOTION_WORDS[clip.motion]), background]
    if background and rng.random() < 0.1:
        parts = [f"{background},", *parts[:2]]
    else:
        parts.insert(0, _choose(rng, OPENINGS))
    return " ".join(part for part in parts if part)


def words(text: str) -> list[str]:
    """Split a prompt into words for the vocabulary: lower case, letters only."""
    return re.findall(r"[^\W\d_]+", text.lower())


def vocabulary() -> list[str]:
    """Every word that a caption can contain, sorted."""
    tables = (COLOUR_WORDS, SHAPE_WORDS, MOTION_WORDS, BACKGROUND_WORDS, SCENE_WORDS)
    phrases = [phrase for table in tables for options in table.values() for phrase in options]
    text = " ".join([*phrases, *OPENINGS, "a an and next to", *EXAMPLES]).replace("{colour}", "")
    assert set(COLOUR_WORDS) == set(COLOURS) and set(SHAPE_WORDS) == set(SHAPES)
    assert set(MOTION_WORDS) == set(MOTIONS) and set(BACKGROUND_WORDS) == set(BACKGROUNDS)
    return sorted(set(words(text)))
