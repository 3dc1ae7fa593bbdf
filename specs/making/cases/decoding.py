"""DECODE: parallel decoding, single steps and whole runs."""

from typing import Any

import numpy as np

from specs.making.case import Case
from specs.making.cases.material import gumbel, integers, masked_section, normal, parameters, sampling_section

MASK, CODES, TOKENS = 11, 7, 6
"""Codes of the small network."""


def sampled(
    name: str,
    *,
    loops: list[int],
    batch: int = 2,
    known: int = 0,
    changes: dict[str, Any] | None = None,
    **sampling: Any,
) -> dict[str, Any]:
    """Return settings and inputs of a whole sampling that starts with `known` tokens of each row."""
    model = masked_section(**(changes or {}))
    tokens = np.full((batch, TOKENS), MASK)
    tokens[:, :known] = integers(f"{name}/known", CODES, batch, known)
    steps = len(loops)
    inputs = {
        **parameters(model, name, 1.5),
        "tokens": tokens,
        "labels": integers(f"{name}/labels", model["classes"], batch),
        "token_noise": gumbel(f"{name}/token", steps, batch, TOKENS, CODES),
        "confidence_noise": gumbel(f"{name}/confidence", steps, batch, TOKENS),
    }
    return {"settings": {"model": model, "sampling": sampling_section(**sampling), "loops": loops}, "inputs": inputs}


def stepped(
    name: str,
    *,
    step: int,
    steps: int,
    unknown: tuple[int, ...] = (8, 8),
    start: tuple[int, ...] = (8, 8),
    tokens: int = 8,
    temperature: float = 4.5,
    preset: str = "plain",
    size: float = 2.0,
) -> dict[str, Any]:
    """Return settings and inputs of one step; row i has `unknown[i]` unknown tokens, `start[i]` at the start."""
    batch, codes = len(unknown), 5
    running = integers(f"{name}/running", codes, batch, tokens)
    hidden = np.argsort(normal(f"{name}/hidden", batch, tokens), axis=1) < np.array(unknown)[:, None]
    inputs = {
        "logits": size * normal(f"{name}/logits", batch, tokens, codes),
        "tokens": np.where(hidden, codes + 1, running),
        "start": np.array(start),
        "token_noise": gumbel(f"{name}/token", batch, tokens, codes),
        "confidence_noise": gumbel(f"{name}/confidence", batch, tokens),
    }
    settings = {
        "step": step,
        "steps": steps,
        "mask_token": codes + 1,
        "choice_temperature": temperature,
        "sampling_temperature": preset,
    }
    return {"settings": settings, "inputs": inputs}


def tied(name: str, *, step: int, steps: int, sharp: int) -> dict[str, Any]:
    """Return a step without noise of choice in which all but the first `sharp` tokens are equally likely."""
    made = stepped(name, step=step, steps=steps, temperature=0.0)
    made["inputs"]["logits"][:, sharp:] = 0.0
    return made


def lengths(start: list[int], steps: int) -> dict[str, Any]:
    """Return settings and inputs of a table of lengths."""
    return {"settings": {"steps": steps}, "inputs": {"start": np.array(start)}}


def step(clause: str, slug: str, why: str, **made: Any) -> Case:
    """Return a case of one step."""
    return Case(clause, slug, "decode_step", why, **stepped(f"{clause}/{slug}".lower(), **made))


CASES = (
    Case(
        "DECODE-01", "eight-steps", "mask_lengths", "a schedule read a step late or rounded", **lengths([256, 100], 8)
    ),
    Case("DECODE-01", "few-tokens", "mask_lengths", "bounds: 0, 1, 2 and 3 tokens", **lengths([0, 1, 2, 3, 6], 8)),
    Case("DECODE-01", "one-step", "mask_lengths", "K = 1: all at once, one stays masked", **lengths([256, 1], 1)),
    Case(
        "DECODE-01", "more-steps-than-tokens", "mask_lengths", "every step reveals one at least", **lengths([5, 7], 16)
    ),
    Case(
        "DECODE-02",
        "double",
        "mask_lengths",
        "the tie at 8 of 12 steps, in double precision: 128 of 256, 512 of 1024",
        **lengths([256, 1024, 255], 12),
        choice=("sampling.schedule_precision", "float64"),
    ),
    Case(
        "DECODE-02",
        "double-three-steps",
        "mask_lengths",
        "the tie at 2 of 3 steps, in double precision",
        **lengths([2, 6, 64], 3),
        choice=("sampling.schedule_precision", "float64"),
    ),
    Case(
        "DECODE-02",
        "single",
        "mask_lengths",
        "the tie at 8 of 12 steps, in single precision: 127 of 256, 511 of 1024",
        **lengths([256, 1024, 255], 12),
        choice=("sampling.schedule_precision", "float32"),
    ),
    Case(
        "DECODE-02",
        "single-three-steps",
        "mask_lengths",
        "the tie at 2 of 3 steps, in single precision",
        **lengths([2, 6, 64], 3),
        choice=("sampling.schedule_precision", "float32"),
    ),
    *(
        Case(
            "DECODE-02",
            f"{name}-{slug}",
            operation,
            f"a {what} at the tie of 2 of 3 steps, in {name} precision: one token more or less stays masked",
            **made,
            choice=("sampling.schedule_precision", precision),
        )
        for name, precision in (("double", "float64"), ("single", "float32"))
        for slug, operation, what, made in (
            ("step", "decode_step", "step", stepped("decode-02/step", step=1, steps=3)),
            ("sample", "masked_sample", "sampling", sampled("decode-02/sample", loops=[1, 1, 1])),
            (
                "tempered-step",
                "decode_step",
                "tempered step",
                stepped("decode-02/tempered-step", step=1, steps=3, preset="elt"),
            ),
            (
                "tempered-sample",
                "masked_sample",
                "tempered sampling",
                sampled("decode-02/tempered-sample", loops=[1, 1, 1], sampling_temperature="elt"),
            ),
        )
    ),
    step(
        "DECODE-03",
        "half-known",
        "fresh samples over known tokens, or known tokens masked again",
        step=1,
        steps=4,
        unknown=(4, 5),
        temperature=2.0,
    ),
    step(
        "DECODE-03",
        "half-known-tempered",
        "the same of a tempered step",
        step=1,
        steps=4,
        unknown=(4, 5),
        temperature=2.0,
        preset="elt",
    ),
    step(
        "DECODE-03",
        "one-unknown",
        "the one unknown token is masked again, and no other",
        step=2,
        steps=5,
        unknown=(1, 2),
        start=(8, 2),
    ),
    Case(
        "DECODE-03",
        "given-tokens",
        "masked_sample",
        "tokens that were given, after a whole sampling",
        **sampled("decode-03/given", loops=[2, 2, 1, 1], known=3),
    ),
    Case(
        "DECODE-03",
        "given-tokens-tempered",
        "masked_sample",
        "the same of a tempered sampling",
        **sampled("decode-03/tempered", loops=[1, 2], known=2, sampling_temperature="elt"),
    ),
    step("DECODE-04", "first-step", "a prediction without noise", step=0, steps=4),
    step(
        "DECODE-04",
        "little-noise",
        "noise on the probability, where the logarithm counts",
        step=1,
        steps=4,
        temperature=0.6,
        size=2.5,
    ),
    step("DECODE-04", "third-of-four", "noise that does not fall", step=2, steps=4, unknown=(5, 4), temperature=3.0),
    step(
        "DECODE-04",
        "last-step",
        "noise in the last step, where one token is masked by confidence alone",
        step=3,
        steps=4,
        unknown=(4, 3),
        temperature=9.0,
    ),
    step(
        "DECODE-04",
        "tempered",
        "noise of the choice in a tempered step",
        step=1,
        steps=4,
        unknown=(6, 5),
        temperature=3.0,
        preset="elt",
    ),
    step(
        "DECODE-04", "only-step", "K = 1: the only step is the last and has no noise", step=0, steps=1, temperature=9.0
    ),
    step(
        "DECODE-05",
        "first-step",
        "a temperature that multiplies, or is read at k/K",
        step=0,
        steps=4,
        preset="elt",
        temperature=0.0,
    ),
    step(
        "DECODE-05",
        "last-step",
        "the temperature of the last step is 0.5",
        step=3,
        steps=4,
        preset="elt",
        temperature=0.0,
        unknown=(8, 5),
    ),
    step(
        "DECODE-05",
        "middle",
        "a confidence of the tempered prediction",
        step=1,
        steps=4,
        preset="elt",
        temperature=4.5,
        size=1.5,
    ),
    step(
        "DECODE-05",
        "plain",
        "logits as they are: the noise alone decides between them",
        step=0,
        steps=3,
        temperature=0.0,
        size=1.0,
    ),
    step("DECODE-06", "first-step", "an answer that is masked again in part", step=0, steps=4),
    step("DECODE-06", "tempered", "the same of a tempered step", step=0, steps=4, preset="elt"),
    step(
        "DECODE-06",
        "last-step",
        "one token of the running ones stays masked after the last step too",
        step=3,
        steps=4,
        unknown=(3, 4),
    ),
    Case(
        "DECODE-06",
        "whole-sampling",
        "masked_sample",
        "running tokens, with their mask, given for the answer",
        **sampled("decode-06/whole", loops=[1, 2, 2, 1]),
    ),
    Case(
        "DECODE-06",
        "whole-tempered",
        "masked_sample",
        "the same of a tempered sampling",
        **sampled("decode-06/tempered", loops=[1, 1, 1, 1], sampling_temperature="elt"),
    ),
    step("DECODE-07", "without-noise", "the least confident or random tokens kept", step=1, steps=4, temperature=0.0),
    step(
        "DECODE-07",
        "tempered",
        "the least confident kept in a tempered step",
        step=1,
        steps=4,
        temperature=0.0,
        preset="elt",
    ),
    step(
        "DECODE-07",
        "last-step",
        "the confidence of the best code in place of the drawn one",
        step=3,
        steps=4,
        unknown=(6, 7),
        size=1.0,
    ),
    step(
        "DECODE-07",
        "flat-logits",
        "logits of another level in each token: the confidence is normalised",
        step=0,
        steps=3,
        temperature=0.0,
        size=0.8,
    ),
    step(
        "DECODE-03",
        "half-given",
        "shares of the whole picture where half of it was given",
        step=0,
        steps=2,
        unknown=(4, 5),
        start=(4, 5),
    ),
    step(
        "DECODE-03",
        "later-step",
        "shares of what is left in place of what was unknown at the start",
        step=1,
        steps=4,
        unknown=(5, 7),
        start=(6, 8),
    ),
    Case(
        "DECODE-03",
        "one-unknown-of-six",
        "masked_sample",
        "a picture of which one token is unknown",
        **sampled("decode-08/one", loops=[1, 1], known=5),
    ),
    Case(
        "DECODE-03",
        "all-known",
        "masked_sample",
        "a picture of which all is known comes back as it is",
        **sampled("decode-08/all", loops=[1, 1], known=6),
    ),
    Case(
        "DECODE-07",
        "all-equal",
        "decode_step",
        "a threshold among equal confidences",
        **tied("decode-09/all", step=1, steps=4, sharp=0),
    ),
    Case(
        "DECODE-07",
        "some-equal",
        "decode_step",
        "a threshold that falls among the equal ones of several",
        **tied("decode-09/some", step=2, steps=4, sharp=3),
    ),
)
