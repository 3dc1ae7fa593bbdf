"""No decision in the cases of the masked family is close: honest rounding cannot turn one over."""

import numpy as np
import pytest

from elt_ref.conformance.case import read_vectors
from elt_ref.conformance.reference import ReferenceBackend
from elt_ref.schedules import masked_fraction
from specs.making import generate
from specs.making.cases import cases
from specs.making.wrong import decoding
from specs.making.wrong.composed import ComposedBackend

FAMILIES = ("ANYTIME", "BLOCK", "CLIP", "DECODE", "DISTIL", "DROP", "GRAD", "GUIDE", "LOOP", "MASK", "SHARE")
MARGIN = 1e-3
CASES = [case for case in cases().values() if case.clause.partition("-")[0] in FAMILIES]


class Margins(decoding.Decoding, ComposedBackend):
    """The reference's decoding, which records the smallest margin of its decisions."""

    def __init__(self) -> None:
        self.smallest = np.inf

    def drawn(self, logits, noise, temperature):
        scores = np.sort(logits / temperature + noise, axis=-1)
        self.draws = scores[..., -1] - scores[..., -2]
        return super().drawn(logits, noise, temperature)

    def certain(self, confidence, unknown):
        self.smallest = min(self.smallest, self.draws[unknown].min(initial=np.inf))
        return super().certain(confidence, unknown)

    def hidden(self, confidence, lengths):
        for row, length in zip(np.sort(confidence, axis=1), lengths, strict=True):
            if 0 < length < len(row) and np.isfinite(row[length]):
                self.smallest = min(self.smallest, row[length] - row[length - 1])
        return super().hidden(confidence, lengths)


@pytest.mark.parametrize("case", [case for case in CASES if case.operation in {"decode_step", "masked_sample"}])
def test_no_decision_of_decoding_is_close_but_declared_ties(case):
    margins = Margins()
    found = generate.ask(margins, case, "float64")
    for name, value in generate.ask(ReferenceBackend(), case, "float64").items():
        assert np.array_equal(found[name], value)
    if case.clause != "DECODE-07":
        assert margins.smallest > MARGIN


def test_counts_of_masked_tokens_are_not_close_to_the_next():
    products = []
    for case in CASES:
        if case.operation == "mask_tokens":
            products.append(case.inputs["order"].shape[1] * masked_fraction(case.inputs["ratio"]))
        if case.operation == "mask_lengths" and case.choice is None:
            steps = case.settings["steps"]
            products += [case.inputs["start"] * masked_fraction(np.full(1, k / steps)) for k in range(1, steps)]
    for product in products:
        away = np.abs(product - np.rint(product))
        assert ((away > MARGIN) | (away == 0)).all()


def test_draws_of_dropped_labels_are_not_close_to_the_rate():
    for case in CASES:
        if case.operation == "drop_labels":
            away = np.abs(case.inputs["draws"] - case.settings["rate"])
            assert ((away > MARGIN) | (away == 0)).all()


def test_the_floor_tie_has_an_answer_for_each_choice():
    answers = {vector.stored.slug: vector.answers for vector in read_vectors() if vector.stored.clause == "DECODE-02"}
    double, single = (answers[name]["lengths"] for name in ("double", "single"))
    assert double[7].tolist() == [128, 512, 127]
    assert single[7].tolist() == [127, 511, 127]
    assert (double != single).any(axis=1).sum() == 1
    steps = [answers[f"{name}-step"]["tokens"] for name in ("double", "single")]
    assert [(tokens == tokens.max()).sum(axis=1).tolist() for tokens in steps] == [[4, 4], [3, 3]]
