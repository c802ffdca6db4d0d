"""The prompts of an evaluation: single shapes, seen and held-out combinations, scenes, and pairs.

They have another seed than the training, so a seen combination also has its own wording. An unseen combination was
never rendered for training, in any wording.
"""

from dataclasses import dataclass, replace

import numpy as np

from scripts.demo_model.captions import MOTION_WORDS, caption
from scripts.demo_model.scenes import SCENES
from scripts.demo_model.world import BACKGROUNDS, PAIR_MOTIONS, TRAINED, UNSEEN, Clip, draw_pair, visible

EVALUATION_SEED = 990_001


@dataclass(frozen=True)
class Asked:
    """One prompt, the clip it describes, the seed to generate with, and whether training saw the combination."""

    prompt: str
    clip: Clip
    seed: int
    seen: bool


def single_prompts(count: int) -> list[Asked]:
    """Return `count` prompts for one shape; seen and unseen combinations alternate, and motions take turns."""
    asked = []
    for number in range(count):
        rng = np.random.default_rng([EVALUATION_SEED, number])
        seen = number % 2 == 0
        motion = list(MOTION_WORDS)[number // 2 % len(MOTION_WORDS)]
        options = [choice for choice in (TRAINED if seen else UNSEEN) if choice[2] == motion]
        shape, colour, _ = options[int(rng.integers(len(options)))]
        background = str(rng.choice([name for name in BACKGROUNDS if visible(colour, name)]))
        clip = Clip("single", int(rng.integers(2**31)), shape, colour, motion, background)
        asked.append(Asked(caption(clip, rng), clip, 1000 + number, seen))
    return asked


def pair_prompts(count: int) -> list[Asked]:
    """Return `count` prompts for two shapes side by side; motions take turns.

    `seen` is always False: there are many times more pairs than the training drew.
    """
    asked = []
    for number in range(count):
        rng = np.random.default_rng([EVALUATION_SEED, 2, number])
        clip = draw_pair(rng, int(rng.integers(2**31)))
        clip = replace(clip, motion=PAIR_MOTIONS[number % len(PAIR_MOTIONS)])
        asked.append(Asked(caption(clip, rng), clip, 9000 + number, False))
    return asked


def scene_prompts(each: int) -> list[Asked]:
    """Return `each` prompts for every scene, in varied wording."""
    asked = []
    for place, (name, scene) in enumerate(SCENES.items()):
        for number in range(each):
            rng = np.random.default_rng([EVALUATION_SEED, 1, place, number])
            clip = Clip("scene", int(rng.integers(2**31)), scene=name, colour=str(rng.choice(scene.colours)))
            asked.append(Asked(caption(clip, rng), clip, 5000 + 10 * place + number, True))
    return asked
