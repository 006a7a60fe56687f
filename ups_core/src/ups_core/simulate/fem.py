"""Linear finite elements on scattered points of the periodic unit square.

Triangles are those of the Delaunay triangulation of the points and their periodic images; each triangle of
the torus is taken once. The matrices are the textbook's (Zienkiewicz, Taylor & Zhu, The Finite Element
Method, ch. 3): with P1 hat functions φ_i, ∫φ_i φ_j, ∫∇φ_i·∇φ_j and ∫φ_i c·∇φ_j, exact on each triangle.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from scipy import sparse
from scipy.spatial import Delaunay

from ups_core.errors import DataInvalid


@dataclass(frozen=True)
class Mesh:
    """Triangles of M points: ``corners`` (K, 3), their ``areas`` (K,), and ∇φ of each corner (K, 3, 2)."""

    points: int
    corners: np.ndarray
    areas: np.ndarray
    slopes: np.ndarray

    @classmethod
    def of(cls, places: np.ndarray) -> Mesh:
        """Of ``places`` (M, 2) in the periodic unit square.

        DataInvalid where the triangles do not cover it once: two points at one place, or too few of them.
        """
        home = np.mod(places, 1.0)
        images = np.concatenate([home + shift for shift in np.ndindex(3, 3)]) - 1.0  # (9M, 2)
        number = np.tile(np.arange(len(places)), 9)
        near = ((images > -0.5) & (images < 1.5)).all(axis=1)
        images, number = images[near], number[near]
        triangles = Delaunay(images).simplices  # (K', 3)
        centre = images[triangles].mean(axis=1)
        triangles = triangles[((centre >= 0) & (centre < 1)).all(axis=1)]  # one image of each
        a, b, c = images[triangles].transpose(1, 0, 2)  # (K, 2) each
        opposite = np.stack([c - b, a - c, b - a], axis=1)  # (K, 3, 2), the edge that faces each corner
        twice = opposite[:, 0, 0] * opposite[:, 1, 1] - opposite[:, 0, 1] * opposite[:, 1, 0]  # (K,), signed
        used = np.zeros(len(places), bool)
        used[number[triangles]] = True
        if not used.all() or abs(np.abs(twice).sum() / 2 - 1) > 1e-6:
            raise DataInvalid(
                "the points have no triangulation of the periodic unit square",
                where="places of a mesh sample",
                found=f"{len(places)} points, {int((~used).sum())} of them in no triangle",
                expected="some ten points or more, no two at one place",
                fix="set evaluation.peers to [persistence]",
            )
        turned = np.stack([-opposite[..., 1], opposite[..., 0]], axis=-1)  # (K, 3, 2)
        return cls(len(places), number[triangles], np.abs(twice) / 2, turned / twice[:, None, None])

    def mass(self) -> sparse.csc_array:
        """∫φ_i φ_j, (M, M)."""
        return self._assembled(self.areas[:, None, None] / 12 * (1 + np.eye(3)))

    def stiffness(self) -> sparse.csc_array:
        """∫∇φ_i·∇φ_j, (M, M)."""
        return self._assembled(self.areas[:, None, None] * (self.slopes @ self.slopes.transpose(0, 2, 1)))

    def advection(self, velocity: np.ndarray) -> sparse.csc_array:
        """∫φ_i c·∇φ_j for the constant ``velocity`` c (2,), (M, M); antisymmetric."""
        along = self.areas[:, None] / 3 * (self.slopes @ velocity)  # (K, 3)
        return self._assembled(np.repeat(along[:, None], 3, axis=1))

    def _assembled(self, local: np.ndarray) -> sparse.csc_array:
        """The sum of the triangles' own matrices (K, 3, 3)."""
        i, j = np.repeat(self.corners, 3, axis=1), np.tile(self.corners, (1, 3))  # (K, 9)
        whole = sparse.coo_array((local.ravel(), (i.ravel(), j.ravel())), shape=(self.points, self.points))
        return whole.tocsc()
