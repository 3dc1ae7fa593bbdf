"""The logistic function, in the quicker of two equal forms.

    σ(u) = 1 / (1 + e^−u) = ½ (1 + tanh ½ u)

NumPy's tanh looks numbers up in a table. With AVX-512 the table lies in registers, and tanh is as quick as exp;
without, exp takes half the time of tanh. So the processor decides, and with it the last bit of σ.
"""

import numpy as np
from jaxtyping import Float

BY_TANH = not {"X86_V4", "AVX512_SKX"}.isdisjoint(np.show_config(mode="dicts")["SIMD Extensions"].get("found", ()))
"""Whether σ is computed by tanh; the names are NumPy's, new and old, for the kernels with AVX-512."""
SCALE = 0.5 if BY_TANH else -1.0
"""Factor of u in the argument of `logistic`."""


def logistic(scaled: Float[np.ndarray, "..."]) -> Float[np.ndarray, "..."]:
    """Return σ(u) of ``scaled = SCALE · u``, in place. The caller has SCALE in a factor of its own."""
    if BY_TANH:
        np.tanh(scaled, out=scaled)
        scaled += 1
        scaled *= 0.5
    else:
        with np.errstate(over="ignore"):  # e^−u may overflow: then σ is 0
            np.exp(scaled, out=scaled)
        scaled += 1
        np.reciprocal(scaled, out=scaled)
    return scaled
