"""What the tests of E5 share in both families: a network, and gradients by name, to the bit or by differences."""

import numpy as np
from networks import open_network
from ops.gradient_check import gradient_error

from elt_ref.arrays import tree_items, tree_leaves, tree_rebuild
from elt_ref.model import NETWORKS, forward, loop_states, run
from elt_ref.objective import ilsd_loss, vanilla_loss
from elt_ref.ops import value_and_gradient


class Network:
    """A configuration and parameters; a family adds inputs of the network, the target and L_int (None for vanilla)."""

    config = parameters = inputs = target = student_loops = None

    def network(self, parameters):
        network = open_network(parameters, self.config, *self.inputs)
        return network, list(loop_states(network.block, network.state, self.config.model.max_loops))

    def prediction(self, parameters, loops):
        network, states = self.network(parameters)
        return network.head(states[loops - 1])

    def terms(self, parameters, truth_weight):
        """Return E5 and its terms, of two exits of one pass."""
        max_loops = self.config.model.max_loops
        if self.student_loops is None:
            return vanilla_loss(self.target, forward(parameters, self.config, *self.inputs, loops=max_loops))
        student, teacher = forward(parameters, self.config, *self.inputs, exits=(self.student_loops, max_loops))
        return ilsd_loss(self.target, student, teacher, truth_weight=truth_weight)

    def loops_reached(self, term):
        """Return for each loop whether the way back of a term comes there.

        Something is added to the state after each layer; the gradient by it tells.
        """
        network, model = NETWORKS[type(self.config)], self.config.model

        def from_additions(additions):
            supply = iter(additions)
            added = network._replace(layer=lambda tree, x, **options: network.layer(tree, x, **options) + next(supply))
            exits = [self.student_loops, model.max_loops]
            student, teacher = run(added, self.parameters, self.config, self.inputs, exits=exits)
            return getattr(ilsd_loss(self.target, student, teacher, truth_weight=0.5), term), None

        state = self.network(self.parameters)[0].state
        additions = [np.zeros_like(state) for _ in range(model.max_loops * model.layers)]
        _, _, gradients = value_and_gradient(from_additions, additions)
        largest = np.reshape([np.abs(gradient).max() for gradient in gradients], (model.max_loops, model.layers))
        assert ((largest > 1e-6) | (largest == 0)).all(), "neither reached nor left alone"
        return [bool(each.all()) for each in largest]

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
