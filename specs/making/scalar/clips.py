"""Clips as tubelets: cut, quantise, join, and mask unknown frames. Plain lists throughout."""

from itertools import product

Clip = list[list[list[list[float]]]]
"""[frames][rows][columns][channels]."""


def tubelet(clip: Clip, place: tuple[int, int, int], frames: int, size: int) -> list[float]:
    """Return the tubelet at a place of the grid, its values by frame, row, column, channel."""
    first_frame, first_row, first_column = place[0] * frames, place[1] * size, place[2] * size
    values = []
    for frame in range(first_frame, first_frame + frames):
        for row in range(first_row, first_row + size):
            for column in range(first_column, first_column + size):
                values.extend(clip[frame][row][column])
    return values


def nearest(values: list[float], codebook: list[list[float]]) -> int:
    """Return the id of the code with the least squared distance; the first of ties."""
    distances = [sum((value - code) ** 2 for value, code in zip(values, codes, strict=True)) for codes in codebook]
    return distances.index(min(distances))


def encode(clip: Clip, codebook: list[list[float]], frames: int, size: int) -> list[int]:
    """Return a clip's tokens: time slowest, then rows, columns fastest."""
    times, rows, columns = (
        range(side) for side in (len(clip) // frames, len(clip[0]) // size, len(clip[0][0]) // size)
    )
    places = product(times, rows, columns)
    return [nearest(tubelet(clip, place, frames, size), codebook) for place in places]


def decode(tokens: list[int], codebook: list[list[float]], grid: list[int], frames: int, size: int) -> Clip:
    """Return the clip of tokens: each value comes from its tubelet's code, at its place in the tubelet."""
    _, rows, columns = grid
    channels = len(codebook[0]) // (frames * size * size)

    def value(frame: int, row: int, column: int, channel: int) -> float:
        token = tokens[(frame // frames * rows + row // size) * columns + column // size]
        inside = ((frame % frames * size + row % size) * size + column % size) * channels + channel
        return codebook[token][inside]

    return [
        [
            [[value(frame, row, column, channel) for channel in range(channels)] for column in range(columns * size)]
            for row in range(rows * size)
        ]
        for frame in range(grid[0] * frames)
    ]


def known_start(tokens: list[int], known: list[bool], grid: list[int], mask_token: int) -> list[int]:
    """Return the tokens of tubelets with only known frames, and the mask elsewhere."""
    times, rows, columns = grid
    span = len(known) // times
    whole = [all(known[time * span : (time + 1) * span]) for time in range(times)]
    return [token if whole[place // (rows * columns)] else mask_token for place, token in enumerate(tokens)]
