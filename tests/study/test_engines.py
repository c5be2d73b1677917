import os
from concurrent.futures import ThreadPoolExecutor
from threading import get_native_id

import numpy as np
import pytest

from segsrgan_core.errors import UserError
from segsrgan_core.networks.generators import build_generator
from segsrgan_study.engines import choose_precision, compile_generator

P = 32
UNET = {"name": "unet", "k": 4, "n_classes": 1, "hemispheres": True, "thickness_channel": True, "kernel": 3}
UNET |= {"padding": "zero"}
TWO = {**UNET, "name": "two_unets", "n_classes": 4}
PUBLISHED = {"name": "residual", "k": 4, "n_classes": 4, "hemispheres": False, "thickness_channel": False, "kernel": 7}


def trained(arguments):
    """A generator, with weights unlike those of a new one, and its weights as arrays."""
    model, rng = build_generator(**arguments, seed=3), np.random.default_rng(1)
    for weight in model.trainable_variables:
        weight.assign(weight + 0.05 * rng.normal(size=weight.shape))
    return model, [weight.numpy() for weight in model.trainable_variables]


def windows(arguments, count=2):
    shape = (1, P, P, P, 1 + arguments["thickness_channel"])
    return [np.random.default_rng(seed).random(shape, np.float32) for seed in range(count)]


@pytest.mark.parametrize("padding", ["zero", "reflect"])
@pytest.mark.parametrize("arguments", [UNET, TWO, PUBLISHED], ids=["unet", "two", "published"])
def test_openvino_computes_what_keras_computes(arguments, padding):
    arguments = {**arguments, "padding": padding}
    model, weights = trained(arguments)
    network = compile_generator(weights, arguments, P)
    for window in windows(arguments):
        np.testing.assert_allclose(network(window), model(window), atol=1e-4)


@pytest.mark.skipif(choose_precision("openvino") == "float32", reason="this processor does not compute in bfloat16")
def test_bfloat16_is_close_to_float32_and_keeps_the_image_in_float32():
    _, weights = trained(UNET)
    exact, fast = (compile_generator(weights, UNET, P, p) for p in ("float32", "mixed_bfloat16"))
    (window,) = windows(UNET, 1)
    change = np.abs(exact(window) - fast(window))
    assert 0 < change.max() < 0.2
    assert change[..., 0].mean() < 0.01


@pytest.mark.parametrize("arguments", [UNET, {**TWO, "padding": "reflect"}, {**PUBLISHED, "padding": "zero"}])
def test_whole_numbers_are_close_to_float32(arguments):
    _, weights = trained(arguments)
    exact, fast = (compile_generator(weights, arguments, P, p) for p in ("float32", "int8"))
    (window,) = windows(arguments, 1)
    change = np.abs(exact(window) - fast(window))
    assert 0 < change.max() < 0.2
    assert change.mean() < 0.02


def test_int8_is_of_openvino_and_where_there_is_no_bfloat16():
    assert choose_precision("openvino", usual="int8") != "float32"
    with pytest.raises(UserError, match="--engine openvino"):
        choose_precision("tensorflow", "int8")


def test_inference_may_run_on_every_core(monkeypatch):
    monkeypatch.setattr("segsrgan_study.engines.cores", lambda: 1)  # as in a process of a pool
    network, (window,) = compile_generator(trained(UNET)[1], UNET, P), windows(UNET, 1)
    with ThreadPoolExecutor(1) as pool:
        thread = pool.submit(get_native_id).result()
        running, seen = pool.submit(lambda: [network(window) for _ in range(50)]), []
        while not running.done() or not seen:
            seen.append(os.sched_getaffinity(thread))
        assert len(running.result()) == 50
        assert all(allowed == os.sched_getaffinity(0) for allowed in seen)
