"""Which photos show nearly the same: they stay in the set, but on one side of every split."""

from __future__ import annotations

import io
from collections.abc import Iterator, Sequence

import numpy as np
from numpy.typing import NDArray
from PIL import Image

NEAR = 4  # two photos are near duplicates when their pHashes differ in at most so many of 64 bits
_ROWS = 512  # hashes compared with all others at once


def phash(thumbnail: bytes) -> int:
    """Return imagehash's pHash of a JPEG as 64 bits; of a 128 px thumbnail it differs from the photo's own by 0 to 2."""
    import imagehash

    with Image.open(io.BytesIO(thumbnail), formats=("JPEG",)) as image:
        image.draft("L", image.size)  # only the brightness is decoded, a third of the time
        return int(str(imagehash.phash(image)), 16)


def near_duplicates(hashes: NDArray[np.uint64], bursts: Sequence[str]) -> NDArray[np.int64]:
    """Return a group number for each photo, (N,): photos share it that a chain of near duplicates or a burst joins.

    `hashes` (N,) are pHashes; photos with the same text in `bursts` are frames of one burst, an empty text is none.
    """
    unique, place = np.unique(hashes, return_inverse=True)
    groups = _joined(unique)[place]
    return _join_bursts(groups, bursts)


def _joined(hashes: NDArray[np.uint64]) -> NDArray[np.int64]:
    """Groups of different hashes; only the edges of one block are in memory at a time, beside one to each group's first."""
    nodes = np.arange(len(hashes))
    groups = nodes
    for rows, columns in _edges(hashes):
        first = np.unique(groups, return_index=True)[1][groups]
        groups = _components(len(hashes), np.concatenate([rows, nodes]), np.concatenate([columns, first]))
    return groups


def _edges(hashes: NDArray[np.uint64]) -> Iterator[tuple[NDArray[np.int64], NDArray[np.int64]]]:
    for start in range(0, len(hashes), _ROWS):
        block = hashes[start : start + _ROWS, None] ^ hashes[None, start:]
        rows, columns = np.nonzero(np.bitwise_count(block) <= NEAR)
        yield rows + start, columns + start


def _join_bursts(groups: NDArray[np.int64], bursts: Sequence[str]) -> NDArray[np.int64]:
    first: dict[str, int] = {}
    joined = [
        first.setdefault(burst, int(group)) if burst else int(group)
        for burst, group in zip(bursts, groups, strict=True)
    ]
    most = int(groups.max(initial=-1)) + 1
    return _components(most, groups, np.array(joined, dtype=np.int64))[groups]


def _components(nodes: int, rows: NDArray[np.int64], columns: NDArray[np.int64]) -> NDArray[np.int64]:
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    if not nodes:
        return np.zeros(0, dtype=np.int64)
    graph = coo_array((np.ones(len(rows), dtype=bool), (rows, columns)), shape=(nodes, nodes))
    groups: NDArray[np.int64] = connected_components(graph, directed=False)[1].astype(np.int64)
    return groups
