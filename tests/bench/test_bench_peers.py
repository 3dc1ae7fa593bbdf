"""The ports as peers: the same losses and samples as ours, in one process each, and a reported ratio."""

import numpy as np
import pytest

from elt_ref.bench.measure import Request, measure
from elt_ref.bench.peers import PEERS
from elt_ref.bench.sizes import FAMILIES
from elt_ref.ports import PORTS

pytestmark = pytest.mark.ports


# Compiling takes minutes.
@pytest.mark.parametrize(
    "peer", [pytest.param(name, marks=pytest.mark.slow) if name == "torch-compile" else name for name in PEERS]
)
def test_every_family_trains_and_samples_as_ours_does(peer):
    pytest.importorskip(PEERS[peer].framework)
    _, results = measure(Request(("train", "sample"), FAMILIES, ("tiny",), (peer,), 2, 1, PORTS), lambda _: None)
    assert [(found.work, found.family) for found in results] == [(w, f) for w in ("train", "sample") for f in FAMILIES]
    for found in results:
        assert found.failure is None
        assert 0 < found.ratio_low <= found.ratio_median <= found.ratio_high
        products = found.share_of_peak * found.seconds_median
        assert 0 < products < found.seconds_median
        assert np.isclose(found.floor, products / found.peer_seconds_median)
        assert found.peer_peak_memory_mb > found.peak_memory_mb
