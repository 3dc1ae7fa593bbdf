"""The benchmark: what a step, a sampling and a conformance run cost here, beside the ports to other frameworks.

The two sides of a comparison do the same work on the same numbers, each in a process of its own, one at a time and in
turn, so that a noisy machine disturbs both alike. Their answers are compared before anything is timed.

* ``sizes``: the networks that are timed
* ``inputs``: parameters, batches and noise, the same for all sides
* ``reference_side``, ``torch_side``, ``jax_side``, ``loop_side``: one repetition of a work, by whom
* ``process``: the process of one side; ``worker``: the way to it
* ``pairs``: interleaved times, their ratios, and the check that both sides did the same
* ``measure``: every work, family, size and peer that was asked for; ``loop_cache``: the looped against the unlooped
* ``machine``, ``document``: what is told; ``table``, ``plots``, ``page``: how
* ``command``: ``elt-ref bench``
"""
