"""Backends without knowledge: none of them may pass a clause."""

import dataclasses

import numpy as np

from elt_ref.conformance.backend import Description, Unsupported
from elt_ref.conformance.case import arguments, read_vectors
from elt_ref.conformance.doors import flat
from elt_ref.conformance.operations import OPERATIONS


class Degenerate:
    """Declares everything, and answers every call with `answer`, in the right form if that is `right`."""

    def __init__(self):
        self.forms = {}
        for vector in read_vectors():
            self.forms.setdefault(vector.stored.operation, []).append(vector)
        self.last = None

    def describe(self):
        choices = {"sampling.schedule_precision": "float64"}
        return Description(type(self).__name__, "0", OPERATIONS, choices=choices)

    def __getattr__(self, name):
        if name not in OPERATIONS:
            raise AttributeError(name)
        return lambda **given: self.answer(self.form(name, given), given)

    def form(self, operation, given):
        """Return the right answer's names, shapes and dtypes, filled with zeros."""
        mine = flat(given)
        dtype = next((x.dtype.name for x in mine.values() if np.issubdtype(x.dtype, np.floating)), "float64")
        for vector in self.forms[operation]:
            theirs = flat(arguments(vector.stored.settings, vector.inputs, dtype))
            asked = {name: value for name, value in given.items() if name in vector.stored.settings}
            if (
                asked == vector.stored.settings
                and set(mine) == set(theirs)
                and all(np.array_equal(mine[name], theirs[name]) for name in mine)
            ):
                return {
                    name: np.zeros(value.shape, dtype if np.issubdtype(value.dtype, np.floating) else value.dtype)
                    for name, value in vector.answers.items()
                }
        raise AssertionError(f"{operation}: asked something that no vector asks")


class Zeros(Degenerate):
    def answer(self, form, given):
        return form


class Ones(Degenerate):
    def answer(self, form, given):
        return {name: np.ones_like(value) for name, value in form.items()}


class Echo(Degenerate):
    """Returns an input of the right shape, or zeros."""

    def answer(self, form, given):
        inputs = flat(given).values()
        return {
            name: next((x.astype(value.dtype) for x in inputs if x.shape == value.shape), value)
            for name, value in form.items()
        }


class Random(Degenerate):
    def answer(self, form, given):
        draw = np.random.default_rng(0)
        return {name: (3 * draw.standard_normal(value.shape)).astype(value.dtype) for name, value in form.items()}


class NotANumber(Degenerate):
    def answer(self, form, given):
        floats = {name: np.issubdtype(value.dtype, np.floating) for name, value in form.items()}
        return {name: np.full_like(value, np.nan) if floats[name] else value for name, value in form.items()}


class Raises(Degenerate):
    def answer(self, form, given):
        raise RuntimeError("not today")


class AlwaysUnsupported(Degenerate):
    def answer(self, form, given):
        raise Unsupported("not today")


class Empty(Degenerate):
    def answer(self, form, given):
        return {}


class Replay(Degenerate):
    """Answers with the right answer to the previous call, cut to the right form."""

    def answer(self, form, given):
        last, self.last = self.last, form
        flat_last = np.concatenate([value.ravel() for value in (last or form).values()])
        return {name: np.resize(flat_last, value.shape).astype(value.dtype) for name, value in form.items()}


ALL = (Zeros, Ones, Echo, Random, NotANumber, Raises, AlwaysUnsupported, Empty, Replay)


def half_precision(reference):
    """Return a backend with right answers in float16."""

    class Half(type(reference)):
        def describe(self):
            return dataclasses.replace(super().describe(), name="half")

        def __getattribute__(self, name):
            value = super().__getattribute__(name)
            if name not in OPERATIONS:
                return value

            def rounded(**given):
                answer = value(**given)
                return {
                    key: array.astype(np.float16) if np.issubdtype(np.asarray(array).dtype, np.floating) else array
                    for key, array in answer.items()
                }

            return rounded

    return Half()
