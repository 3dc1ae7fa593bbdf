"""Examples are checked before masking and dropping, which would hide what is wrong with them."""

import numpy as np
import pytest
from networks import make_config

from elt_ref.errors import RequestError
from elt_ref.objective import Batch, MaskedDraws, masked_task

CONFIG = make_config()
"""Codes 0 … 4, classes 0 … 2."""


def draws(batch):
    return MaskedDraws(np.zeros(batch), np.zeros((batch, CONFIG.model.tokens)), np.zeros(batch), 1)


@pytest.mark.parametrize(
    ("token", "label", "told"),
    [
        (-1, 0, "tokens: expected codes in"),
        (99, 0, "tokens: expected codes in"),
        (CONFIG.model.mask_token, 0, "tokens: expected codes in .* to learn from, got the mask"),
        (0, -1, "labels: expected classes in"),
        (0, 99, "labels: expected classes in"),
        (0, CONFIG.model.unconditional_class, "labels: expected classes in .* to learn from, got the one for none"),
    ],
)
def test_what_is_out_of_range_is_refused_even_where_it_would_be_masked_or_dropped(token, label, told):
    tokens, labels = np.zeros((2, CONFIG.model.tokens), np.int64), np.zeros(2, np.int64)
    tokens[1, 0], labels[1] = token, label
    with pytest.raises(RequestError, match=told):
        masked_task(CONFIG, Batch(tokens, labels), draws(2))
