"""Whether the fast training learns what the published one does: validation curves of both over several seeds.

Both begin with the same weights, get the same patches of the same phantoms with the same gradient-penalty interpolates,
and are scored on the same patches of a phantom that neither has seen. They differ in precision, in the order of sums,
and in the segmentation that the critic sees as real, which ours softens.
"""

from collections.abc import Callable

import numpy as np
import tensorflow as tf

from benchmarks.neonate import only_image
from benchmarks.published import PublishedTraining, as_first, published_critic, published_generator
from benchmarks.size import Size
from benchmarks.training import CORTEX, N_CRITIC, paper_trainer
from segsrgan_core.losses import charbonnier
from segsrgan_core.metrics import dice, psnr
from segsrgan_core.networks.functions import as_function
from segsrgan_core.patches import TrainingSubject, draw_patch, prepare_subject
from segsrgan_core.settings import TrainingSettings
from segsrgan_study.phantoms.cohort import PhantomCohort, make_subject

POLICY = "mixed_bfloat16"  # what differs most from the published float32
SEEN, UNSEEN = (0, 1), 2  # phantoms to train and to validate on
VALIDATION_PATCHES = 8
Pair = tuple[np.ndarray, np.ndarray]


def curves(size: Size) -> dict:
    """Train each design `size.seeds` times for `size.iterations` iterations of batch 1.

    Returns:
        `iterations` at which was validated; by design and score (`loss`, the objective of reconstruction; `psnr` in dB;
        `dice`) one list a seed; and `within`, by score: the share of these iterations at which the mean of ours lies
        within the published design's range over seeds, widened by ours.
    """
    settings = TrainingSettings(
        patch=size.patch, n_critic=N_CRITIC, learning_rate=1e-4, decay=0, average=0, contrast_model="none"
    )
    train, val = [_subject(index, size) for index in SEEN], _subject(UNSEEN, size)
    held_out = [_draw([val], settings, [1, number]) for number in range(VALIDATION_PATCHES)]
    designs = {"published": _published, "ours": _ours}
    found: dict[str, list[list[dict]]] = {name: [] for name in designs}
    for seed in range(size.seeds):
        for name, build in designs.items():
            found[name].append(_one_curve(*build(size, settings, seed), train, held_out, settings, size, seed))
    scores = {
        name: {key: [[row[key] for row in rows] for rows in runs] for key in runs[0][0]} for name, runs in found.items()
    }
    within = {key: _within(scores["published"][key], scores["ours"][key]) for key in scores["ours"]}
    iterations = list(range(size.validate_every, size.iterations + 1, size.validate_every))
    return {"iterations": iterations, **scores, "within": within}


def _subject(index: int, size: Size) -> TrainingSubject:
    cohort = PhantomCohort(spacing_mm=size.neonate_mm)
    subject = make_subject(cohort, "term", index)
    image, labels = (np.asarray(one.dataobj) for one in (only_image(subject), subject.labels))
    return prepare_subject(subject.name, image, labels, CORTEX, size.neonate_mm, cohort.slice_mm, size.patch, seed=0)


def _draw(subjects: list[TrainingSubject], settings: TrainingSettings, seed: list[int]) -> Pair:
    x, y = draw_patch(subjects, settings, CORTEX, thickness_channel=False, rng=np.random.default_rng(seed))
    return x[None], y[None]


def _ours(size: Size, settings: TrainingSettings, seed: int) -> tuple[Callable, Callable]:
    """Return one iteration, and the network, of our design."""
    trainer = paper_trainer(size, settings, POLICY, seed)
    return lambda *batch: trainer.adversarial(*map(tf.constant, batch)), as_function(trainer.generator)


def _published(size: Size, settings: TrainingSettings, seed: int) -> tuple[Callable, Callable]:
    """Return the same of the published design, with the weights that ours begins with."""
    generator, critic = published_generator(size.k), published_critic(size.critic_width)
    ours = paper_trainer(size, settings, POLICY, seed)
    generator.set_weights(ours.generator.get_weights())
    critic.set_weights(ours.critic.get_weights())
    training = PublishedTraining(generator, critic, N_CRITIC)

    def iteration(x: np.ndarray, y: np.ndarray, epsilon: np.ndarray) -> None:
        training.iteration(as_first(x), as_first(y), epsilon)

    return iteration, lambda x: np.moveaxis(generator.predict_on_batch(as_first(x)), 1, -1)


def _one_curve(
    iteration: Callable,
    network: Callable[[np.ndarray], np.ndarray],
    train: list[TrainingSubject],
    held_out: list[Pair],
    settings: TrainingSettings,
    size: Size,
    seed: int,
) -> list[dict]:
    rows = []
    for number in range(1, size.iterations + 1):
        drawn = [_draw(train, settings, [seed, number, i]) for i in range(N_CRITIC + 1)]
        x, y = (np.stack(parts) for parts in zip(*drawn, strict=True))
        iteration(x, y, np.random.default_rng([seed, number]).random((N_CRITIC, 1), np.float32))
        if number % size.validate_every == 0:
            rows.append(_scores(network, held_out))
    return rows


def _scores(network: Callable[[np.ndarray], np.ndarray], held_out: list[Pair]) -> dict[str, float]:
    truth = np.concatenate([y for _, y in held_out])
    found = np.concatenate([network(x) for x, _ in held_out])
    return {
        "loss": float(charbonnier(tf.constant(truth), tf.constant(found))),
        "psnr": float(psnr(truth[..., 0], found[..., 0])),
        "dice": float(dice(truth[..., 1] > 0.5, found[..., 1] > 0.5)),
    }


def _within(published: list[list[float]], ours: list[list[float]]) -> float:
    theirs, own = np.array(published), np.array(ours)
    half = np.ptp(own, axis=0) / 2
    inside = (own.mean(0) >= theirs.min(0) - half) & (own.mean(0) <= theirs.max(0) + half)
    return float(inside.mean())
