"""What the page samples is what the package samples: same request, same noise, same tokens."""

import numpy as np
import pytest
from hypothesis import Phase, given, settings
from hypothesis import strategies as st

from elt_ref.generation import sample
from elt_ref.run.sample import with_sampling

pytestmark = [pytest.mark.browser, pytest.mark.timeout(600)]

REQUESTS = 240
many = settings(max_examples=REQUESTS, deadline=None, phases=[Phase.generate])


@pytest.fixture(scope="module")
def ask(browser, made_page):
    """Ask ``elt.sample`` of one page of all runs."""
    context = browser.new_context()
    page = context.new_page()
    page.goto(made_page.as_uri())
    page.evaluate("elt.ready")
    yield lambda request: page.evaluate("(request) => elt.sample(request)", request)
    context.close()


@st.composite
def requests(draw, runs):
    """A request of the page, with settings that the run has and others that it lacks."""
    name = draw(st.sampled_from([name for name in runs if name != "single"]))
    model = runs[name].config.model
    steps = draw(st.integers(1, 5))
    loops = st.integers(1, 7)
    request = {
        "run": name,
        "steps": steps,
        "loops": draw(st.one_of(loops, st.lists(loops, min_size=steps, max_size=steps))),
        "labels": draw(st.lists(st.integers(0, model.label_rows - 1), min_size=1, max_size=3)),
        # The page's numbers are floats: above 2⁵³ a seed is a text.
        "seed": draw(st.one_of(st.integers(0, 2**53 - 1), st.integers(0, 2**64 - 1).map(str))),
    }
    if model.unconditional_row:
        request["guidance"] = draw(st.sampled_from([0, 1, 2.5, 0.25]))
    if model.family == "masked":
        request["temperature"] = draw(st.sampled_from([0, 0.5, 4.5, 12]))
    if model.family == "masked" and draw(st.booleans()):
        codes = st.one_of(st.integers(0, model.codebook_size - 1), st.just(model.mask_token))
        row = st.lists(codes, min_size=model.tokens, max_size=model.tokens)
        request["start"] = [draw(row) for _ in request["labels"]]
    return request


def answer(run, request):
    """What the package draws for a request of the page."""
    guidance, temperature = (request.get(key) for key in ("guidance", "temperature"))
    changed = with_sampling(
        run,
        steps=request["steps"],
        guidance_scale=None if guidance is None else float(guidance),
        temperature=None if temperature is None else float(temperature),
    )
    start = np.array(request["start"]) if "start" in request else None
    labels, seed = np.array(request["labels"]), int(request["seed"])
    return sample(run.parameters, changed.config, labels, seed=seed, loops=request["loops"], start=start).samples


def drawn(strategy):
    """Many draws of a strategy. The answers come later: Playwright's event loop upsets Hypothesis while it draws."""
    found = []

    @many
    @given(strategy)
    def collect(one):
        found.append(one)

    collect()
    return found


def test_a_request_has_one_answer(ask, runs):
    """In float64, where no rounding decides: tokens are equal, and samples to the last digits of exp and log."""
    asked = drawn(requests(runs))
    assert len(asked) >= 200
    for request in asked:
        right, found = answer(runs[request["run"]], request), ask(request)
        if right.dtype.kind == "f":
            assert found.keys() == {"samples"}
            assert np.shape(found["samples"]) == right.shape
            assert np.abs(np.array(found["samples"]) - right).max() <= 1e-10 * max(1, np.abs(right).max()), request
        else:
            assert found.keys() == {"tokens"}
            assert np.array_equal(found["tokens"], right), request


def test_float32_agrees_to_its_rounding(ask, runs):
    """BLAS adds in float32 and the page in float64, so samples part by the last bits that float32 has."""
    for seed in range(5):
        request = {"run": "single", "steps": 3, "loops": 4, "labels": [1, 2, 3], "seed": seed, "guidance": 1}
        right = answer(runs["single"], request)
        found = np.array(ask(request)["samples"])
        assert np.abs(found - right).max() <= 1e-4 * np.abs(right).max()
        assert np.array_equal(found, found.astype(np.float32))


def test_a_request_without_settings_is_the_runs_own(ask, runs):
    run = runs["masked"]
    right = sample(run.parameters, run.config, np.arange(10)).samples
    assert np.array_equal(ask({"run": "masked"})["tokens"], right)
    assert np.array_equal(ask({})["tokens"], right)  # the first run
    assert np.array_equal(ask({"run": 0})["tokens"], right)


@pytest.mark.parametrize(
    ("request_", "sentence"),
    [
        ({"run": "nobody"}, 'run: expected one of masked, .*, got "nobody"'),
        ({"loops": 0}, "loops: expected an integer from 1 to 1000000, got 0"),
        ({"loops": 1.5}, "loops: expected an integer from 1 to 1000000, got 1.5"),
        ({"loops": [1, 2], "steps": 3}, "loops: expected one number for each of 3 sampling steps, got 2"),
        ({"steps": "8"}, 'steps: expected an integer from 1 to 1000000, got "8"'),
        ({"guidance": -1}, "guidance: expected a number of at least 0, got -1"),
        ({"run": "elt temperatures", "guidance": 2}, "guidance: expected 1, for 'elt temperatures' has no row"),
        ({"labels": []}, r"labels: expected a list of classes, got \[\]"),
        ({"labels": [11]}, "labels: expected an integer from 0 to 10, got 11"),
        ({"seed": -1}, r"seed: expected an integer from 0 to 2\^64 - 1, as a text above 2\^53, got -1"),
        ({"seed": str(2**64)}, "seed: expected an integer from 0"),
        ({"run": "v", "temperature": 1}, "temperature: expected none in the diffusion family, got 1"),
        ({"run": "v", "start": [[0]]}, "start: expected none in the diffusion family, got tokens"),
        ({"labels": [1], "start": [[0]]}, r"start: expected \[1, 16\] tokens, got others"),
        ({"labels": [1], "start": [[99] * 16]}, "start: expected an integer from 0 to 11, got 99"),
    ],
)
def test_a_wrong_request_gets_a_sentence(ask, request_, sentence):
    from playwright.sync_api import Error

    with pytest.raises(Error, match=sentence):
        ask(request_)
