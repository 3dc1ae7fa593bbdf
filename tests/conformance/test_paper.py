"""The pages as the judge's second oracle: they give the published answers, and the judge stops where they do not."""

import numpy as np
import pytest

from elt_ref.conformance.backend import Unsupported
from elt_ref.conformance.case import arguments, read_vectors
from elt_ref.conformance.compare import difference, mismatch
from elt_ref.conformance.fresh import answer
from elt_ref.conformance.fresh.ask import draw
from elt_ref.conformance.paper import PaperBackend, Prepared
from elt_ref.conformance.reference import ReferenceBackend
from elt_ref.errors import RequestError

OPERATIONS = [name for name in vars(PaperBackend) if not name.startswith("_")]
DECLARED = ReferenceBackend().describe()


def test_the_pages_give_the_published_answers_where_they_reach():
    backend, reached = PaperBackend(), []
    for vector in read_vectors():
        operation, settings = vector.stored.operation, vector.stored.settings
        if operation not in OPERATIONS or vector.answers is None or "float32" in (vector.stored.choice or ()):
            continue
        try:
            got = getattr(backend, operation)(**arguments(settings, vector.inputs, "float64"))
        except Unsupported:
            continue
        got = {name: np.asarray(value) for name, value in got.items()}
        assert mismatch(got, vector.answers, "float64") is None, vector.id
        assert difference(operation, settings, got, vector.answers)[0] <= 1e-11, vector.id
        reached.append(operation)
    assert len(reached) == 255
    assert set(OPERATIONS) == set(reached)


@pytest.mark.parametrize(
    ("vector", "changes"),
    [
        ("STEP-05/constant", {"weight_decay": 0.3, "warmup_steps": 3, "beta1": 0.6, "average_decay": 0.7}),
        ("STEP-06/three-steps", {"weight_decay": 0.0, "learning_rate": 0.03, "gradient_clip": 0.2, "epsilon": 0.02}),
    ],
)
def test_a_training_on_a_page_has_the_settings_of_the_question(vector, changes):
    (stored,) = (each for each in read_vectors() if each.id == vector)
    question = arguments(stored.stored.settings, stored.inputs, "float64")
    question["training"] |= changes
    got, expected = (
        getattr(each, stored.stored.operation)(**question) for each in (PaperBackend(), ReferenceBackend())
    )
    assert difference(stored.stored.operation, {}, got, expected)[0] <= 1e-11


QUICK = (
    "masked_states", "masked_forward", "masked_layer", "diffusion_layer", "log_snr", "loss_weight", "decode_step",
    "drift_field", "drifting_forward",
)  # fmt: skip


@pytest.mark.parametrize("operation", QUICK)
def test_a_page_answers_fresh_questions(operation):
    drawn = (draw(operation, 1, number, DECLARED) for number in range(12))
    assert any(question is not None and question.vector.stored.agreement is not None for question in drawn)


@pytest.mark.parametrize(
    ("family", "operation"),
    [("masked", "masked_layer"), ("diffusion", "diffusion_forward"), ("drifting", "drifting_forward")],
)
def test_the_judge_stops_where_page_and_reference_disagree(family, operation, monkeypatch):
    page = getattr(answer.PAPER, family)
    page = page.network if family == "drifting" else page
    monkeypatch.setattr(page, "gelu", lambda x, right=page.gelu: right(x) * (1 + 1e-7))
    with pytest.raises(RequestError, match="expected the reference and the page to agree within 1e-10, got a"):
        draw(operation, 1, 0, DECLARED)


def test_a_page_that_draws_other_shapes_is_noticed():
    with pytest.raises(ValueError, match="expected the shape"):
        Prepared([np.zeros(3)]).gumbel(size=(2, 2))
