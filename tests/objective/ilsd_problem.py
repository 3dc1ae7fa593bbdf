"""What the tests of E5 share in both families: a network, and gradients by name, to the bit or by differences."""

import numpy as np
from ops.gradient_check import gradient_error

from elt_ref.arrays import tree_items, tree_leaves, tree_rebuild
from elt_ref.model import loop_states, open_network
from elt_ref.ops import value_and_gradient


class Network:
    """A configuration and parameters; a family adds `inputs`, those of the network."""

    config = parameters = inputs = None

    def network(self, parameters):
        network = open_network(parameters, self.config, *self.inputs)
        return network, list(loop_states(network.block, network.state, self.config.model.max_loops))

    def prediction(self, parameters, loops):
        network, states = self.network(parameters)
        return network.head(states[loops - 1])

    def gradient(self, function):
        """Return the gradient of ``function(parameters) -> scalar`` as a dict of names."""
        return dict(tree_items(value_and_gradient(lambda p: (function(p), None), self.parameters)[2]))

    def difference_error(self, function, gradient):
        """Return the scale-free error of `gradient` against differences of ``function(parameters)``."""
        return gradient_error(
            lambda *leaves: function(tree_rebuild(self.parameters, list(leaves))),
            tree_leaves(self.parameters),
            list(gradient.values()),
            directions=1,
        )


def assert_equal_bits(one, other):
    """Signed zeros are equal."""
    for name, gradient in one.items():
        assert np.array_equal(gradient, other[name]), f"gradient of {name}"
