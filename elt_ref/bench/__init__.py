"""The benchmark: the time of a training step, a sampling run and a conformance run, beside ports to other frameworks.

The two sides of a comparison do the same work on the same numbers. Each runs in its own process, and they take turns,
so that a noisy machine disturbs both alike. Their answers are compared before anything is timed.

* ``sizes``: the networks that are timed
* ``inputs``: parameters, batches and noise, the same for all sides
* ``reference_side``, ``torch_side``, ``jax_side``, ``loop_side``: one repetition on each side
* ``process``: the process of one side; ``worker``: the client that drives it
* ``pairs``: interleaved times, their ratios, and the check that both sides did the same
* ``measure``: the comparisons of a request; ``loop_cache``: the looped network against the unlooped one
* ``training_memory``: the memory of a training step, looped and unlooped
* ``machine``, ``document``: the facts and numbers reported; ``table``, ``plots``, ``page``: their forms
* ``command``: ``elt-ref bench``
"""
