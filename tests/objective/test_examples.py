"""Examples are checked before masking and dropping, which would hide what is wrong with them."""

import numpy as np
import pytest
from networks import make_config, make_diffusion_config

from elt_ref.errors import RequestError
from elt_ref.objective import Batch, DiffusionDraws, MaskedDraws, corrupt_diffusion, corrupt_masked

CONFIG = make_config()
"""Codes 0 … 4, classes 0 … 2."""


def draws(batch):
    return MaskedDraws(np.zeros(batch), np.zeros((batch, CONFIG.model.tokens)), np.zeros(batch), 1)


@pytest.mark.parametrize(
    ("token", "label", "sentence"),
    [
        (-1, 0, "tokens: expected codes in"),
        (99, 0, "tokens: expected codes in"),
        (CONFIG.model.mask_token, 0, "tokens: expected codes in .* to learn from, got the mask"),
        (0, -1, "labels: expected classes in"),
        (0, 99, "labels: expected classes in"),
        (0, CONFIG.model.unconditional_class, "labels: expected classes in .* to learn from, got the one for none"),
    ],
)
def test_what_is_out_of_range_is_refused_even_where_it_would_be_masked_or_dropped(token, label, sentence):
    tokens, labels = np.zeros((2, CONFIG.model.tokens), np.int64), np.zeros(2, np.int64)
    tokens[1, 0], labels[1] = token, label
    with pytest.raises(RequestError, match=sentence):
        corrupt_masked(CONFIG, Batch(tokens, labels), draws(2))


DIFFUSION = make_diffusion_config()


@pytest.mark.parametrize(
    ("change", "sentence"),
    [
        (lambda x, y: (x.astype(np.int64), y), "examples: expected floating-point samples of shape .*, got int64"),
        (lambda x, y: (x[:, :-1], y), "examples: expected floating-point samples of shape .*, got float64 of shape"),
        (lambda x, y: (np.where(x == x[1, 0, 0, 0], np.nan, x), y), "examples: expected finite numbers, got nan"),
        (lambda x, y: (np.where(x == x[1, 0, 0, 0], np.inf, x), y), "examples: expected finite numbers, got inf"),
        (lambda x, y: (x, y - 1), "labels: expected classes in"),
        (lambda x, y: (x, y[:1]), "labels: expected shape"),
        (
            lambda x, y: (x, y + DIFFUSION.model.unconditional_class),
            "labels: expected classes in .* to learn from, got the one for none",
        ),
    ],
)
def test_samples_to_learn_from_are_finite_numbers_of_the_right_shape_with_classes(change, sentence):
    model = DIFFUSION.model
    normal = np.random.default_rng(0).standard_normal
    samples, noise = normal((2, *model.shape)), normal((2, *model.shape))
    draws_ = DiffusionDraws(np.array([0.2, 0.7]), noise, np.zeros(2), 1)
    corrupt_diffusion(DIFFUSION, Batch(samples, np.zeros(2, np.int64)), draws_)
    with pytest.raises(RequestError, match=sentence):
        corrupt_diffusion(DIFFUSION, Batch(*change(samples, np.zeros(2, np.int64))), draws_)
