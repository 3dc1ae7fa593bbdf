"""Mistakes in clips: order of tubelets and tokens, positions and attention over time, known frames."""

import math
from typing import Any

import numpy as np

from elt_ref.arrays import Tree
from elt_ref.config import MaskedModelConfig
from elt_ref.conformance.backend import Tensors
from elt_ref.conformance.reference import ReferenceBackend
from elt_ref.ops import embedding, residual_layer_norm
from elt_ref.tokenizer import cut_patches
from specs.making.wrong.composed import ComposedBackend, Network
from specs.making.wrong.masked_parts import Parts


def _grid(clips: np.ndarray, patch_frames: int, patch_size: int) -> tuple[int, int, int]:
    _, frames, height, width, _ = clips.shape
    return frames // patch_frames, height // patch_size, width // patch_size


class TokensInOtherOrder:
    """Tokens of a clip are flattened with its axes in another order."""

    axes: tuple[int, int, int]
    """Axes of the grid, slowest first."""

    def encode_clips(self, *, clips, patch_frames, patch_size, **given) -> Tensors:
        right = ReferenceBackend().encode_clips(clips=clips, patch_frames=patch_frames, patch_size=patch_size, **given)
        tokens = right["tokens"].reshape(len(clips), *_grid(clips, patch_frames, patch_size))
        return {"tokens": tokens.transpose(0, *(1 + axis for axis in self.axes)).reshape(len(clips), -1)}

    def decode_clips(self, *, tokens, grid, **given) -> Tensors:
        moved = tokens.reshape(len(tokens), *(grid[axis] for axis in self.axes))
        back = moved.transpose(0, *(1 + int(axis) for axis in np.argsort(self.axes))).reshape(tokens.shape)
        return ReferenceBackend().decode_clips(tokens=back, grid=grid, **given)


class LastOfEqualCodes(ReferenceBackend):
    """The last of equal codes is taken: a scan that replaces its best with `<=`."""

    def encode_clips(self, *, codebook, **given) -> Tensors:
        found = super().encode_clips(codebook=codebook[::-1], **given)["tokens"]
        return {"tokens": len(codebook) - 1 - found}


class TokensTimeLast(TokensInOtherOrder, ReferenceBackend):
    """Tokens are flattened as (row, column, time): channels-last thinking, time being the last axis of the array."""

    axes = (1, 2, 0)


class TokensColumnFirst(TokensInOtherOrder, ReferenceBackend):
    """Tokens of a frame are flattened column by column, as in Fortran order."""

    axes = (0, 2, 1)


class TubeletInOtherOrder:
    """Tubelets are flattened with their axes in another order, and the codebook is read in the same order."""

    axes: tuple[int, int, int, int]
    """Order of a tubelet's frame, row, column, channel, slowest first."""

    def read(self, codebook: np.ndarray, patch_frames: int, patch_size: int) -> np.ndarray:
        """Return the codebook as read in this order, converted to the right order."""
        sides = patch_frames, patch_size, patch_size, codebook.shape[1] // (patch_frames * patch_size**2)
        stored = codebook.reshape(len(codebook), *(sides[axis] for axis in self.axes))
        return stored.transpose(0, *(1 + int(axis) for axis in np.argsort(self.axes))).reshape(codebook.shape)

    def encode_clips(self, *, codebook, patch_frames, patch_size, **given) -> Tensors:
        codebook = self.read(codebook, patch_frames, patch_size)
        sides = {"patch_frames": patch_frames, "patch_size": patch_size}
        return ReferenceBackend().encode_clips(codebook=codebook, **sides, **given)

    def decode_clips(self, *, codebook, patch_frames, patch_size, **given) -> Tensors:
        codebook = self.read(codebook, patch_frames, patch_size)
        sides = {"patch_frames": patch_frames, "patch_size": patch_size}
        return ReferenceBackend().decode_clips(codebook=codebook, **sides, **given)


class TubeletTimeLast(TubeletInOtherOrder, ReferenceBackend):
    """A tubelet is flattened as (row, column, channel, frame)."""

    axes = (1, 2, 3, 0)


class TubeletChannelFirst(TubeletInOtherOrder, ReferenceBackend):
    """A tubelet is flattened as (channel, frame, row, column), as a 3-D convolution's weights are."""

    axes = (3, 0, 1, 2)


class TubeletAsTwoFrames(ReferenceBackend):
    """Every tubelet is coded by its first frame alone, repeated: a tokenizer of pictures, stretched over time."""

    def encode_clips(self, *, clips, patch_frames, **given) -> Tensors:
        firsts = np.repeat(clips[:, ::patch_frames], patch_frames, axis=1)
        return super().encode_clips(clips=firsts, patch_frames=patch_frames, **given)

    def decode_clips(self, *, patch_frames, **given) -> Tensors:
        right = super().decode_clips(patch_frames=patch_frames, **given)["clips"]
        return {"clips": np.repeat(right[:, ::patch_frames], patch_frames, axis=1)}


class FramesBackwards(ReferenceBackend):
    """Frames are read from the last to the first."""

    def encode_clips(self, *, clips, **given) -> Tensors:
        return super().encode_clips(clips=np.ascontiguousarray(clips[:, ::-1]), **given)

    def decode_clips(self, **given) -> Tensors:
        return {"clips": super().decode_clips(**given)["clips"][:, ::-1]}


class NearestByDotProduct(ReferenceBackend):
    """The code with the largest dot product is chosen, without the codes' squares, although codes differ in length."""

    def encode_clips(self, *, clips, codebook, patch_frames, patch_size) -> Tensors:
        tubelets = cut_patches(clips, (patch_frames, patch_size, patch_size))
        return {"tokens": (tubelets @ codebook.T).argmax(axis=-1).reshape(len(clips), -1)}


class Placed(Parts):
    """Tokens take other rows of the position table than consecutive ones."""

    def rows(self, grid: tuple[int, int, int]) -> np.ndarray:
        """Return the rows of the tokens, [frames, rows, columns] or flat."""
        raise NotImplementedError

    def embed(self, parameters: Tree, model: MaskedModelConfig, tokens: np.ndarray, labels: np.ndarray) -> Any:
        tables = parameters["embedding"]
        ids = np.concatenate([model.codebook_size + labels[:, None], tokens], axis=1).astype(np.int64)
        frames, rows, columns = model.grid
        places = np.concatenate([[0], self.rows((frames, rows, columns)).reshape(-1)])
        positions = embedding(tables["position"], np.broadcast_to(places, ids.shape))
        norm = tables["norm"]
        return residual_layer_norm(
            embedding(tables["word"], ids), positions, norm["scale"], norm["bias"], epsilon=model.layer_norm_epsilon
        )


class PositionsOfOneFrame(Placed, ComposedBackend):
    """Every frame has the positions of the first, as in pictures, so the network cannot see the order of frames."""

    def rows(self, grid: tuple[int, int, int]) -> np.ndarray:
        frames, rows, columns = grid
        return np.tile(1 + np.arange(rows * columns), frames)


class PositionsTimeLast(Placed, ComposedBackend):
    """Positions run over time fastest, while tokens run over columns fastest."""

    def rows(self, grid: tuple[int, int, int]) -> np.ndarray:
        frames, rows, columns = grid
        return 1 + np.arange(rows * columns * frames).reshape(rows, columns, frames).transpose(2, 0, 1)


class PositionsOfTimeAlone(Placed, ComposedBackend):
    """All tokens of a frame share one position."""

    def rows(self, grid: tuple[int, int, int]) -> np.ndarray:
        frames, rows, columns = grid
        return 1 + np.repeat(np.arange(frames), rows * columns)


class Cut(Parts):
    """Attention is between some frames only; the class token attends to all tokens and all attend to it."""

    def network(self, config: Any, parameters: Tree, *inputs: Any) -> Network:
        """Return the network, remembering its grid."""
        frames, *sides = config.model.grid
        self.frame_of = np.concatenate([[-1], np.repeat(np.arange(frames), math.prod(sides))])
        return super().network(config, parameters, *inputs)

    def sees(self, own: np.ndarray, other: np.ndarray) -> np.ndarray:
        """Return whether tokens of one frame attend to tokens of another."""
        raise NotImplementedError

    def visible(self, scores: Any) -> Any:
        own, other = self.frame_of[:, None], self.frame_of[None, :]
        seen = self.sees(own, other) | (own < 0) | (other < 0)
        return scores + np.where(seen, 0.0, -1e4).astype(scores.dtype)


class AttentionWithinFrames(Cut, ComposedBackend):
    """Tokens attend to their own frame only: the spatial half of attention divided into space and time."""

    def sees(self, own: np.ndarray, other: np.ndarray) -> np.ndarray:
        return own == other


class AttentionToThePast(Cut, ComposedBackend):
    """Tokens attend to earlier frames and their own, as in autoregressive video transformers."""

    def sees(self, own: np.ndarray, other: np.ndarray) -> np.ndarray:
        return other <= own


def _started(tokens: np.ndarray, known: np.ndarray, mask_token: int) -> Tensors:
    return {"tokens": np.where(np.broadcast_to(known.reshape(-1), tokens.shape), tokens, mask_token)}


class GivenByRows(ReferenceBackend):
    """The known share is applied to the first axis of a picture: rows from the top instead of frames from the start."""

    def given_frames(self, *, tokens, frames, grid, mask_token) -> Tensors:
        rows = np.arange(grid[1]) < np.ceil(frames.mean() * grid[1])
        return _started(tokens, np.broadcast_to(rows[None, :, None], grid), mask_token)


class GivenInverted(ReferenceBackend):
    """Known tokens are masked, and tokens to generate are kept."""

    def given_frames(self, *, tokens, frames, grid, mask_token) -> Tensors:
        known = np.logical_not(frames.reshape(grid[0], -1).all(axis=1))
        return _started(tokens, np.broadcast_to(known.reshape(-1, 1, 1), grid), mask_token)


class GivenShifted(ReferenceBackend):
    """Tokens are counted from the class token, so the known tokens begin one token late."""

    def given_frames(self, *, tokens, frames, grid, mask_token) -> Tensors:
        known = np.repeat(frames.reshape(grid[0], -1).all(axis=1), grid[1] * grid[2])
        return _started(tokens, np.roll(known, 1), mask_token)


class GivenFrameForTubelet(ReferenceBackend):
    """Frames are confused with tubelets: the flags of the first frames are read as flags of the tubelets."""

    def given_frames(self, *, tokens, frames, grid, mask_token) -> Tensors:
        return _started(tokens, np.broadcast_to(frames[: grid[0], None, None], grid), mask_token)
