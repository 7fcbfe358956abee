"""Confidence: how much each user's interactions say about each item."""

from __future__ import annotations

import numpy as np
from scipy.sparse import coo_matrix, csr_matrix

from models.dataset import Dataset
from models.manifest import Blend
from models.scoring import History, history_weights


def user_item_confidence(dataset: Dataset, blend: Blend, now_ms: int) -> csr_matrix:
    """Sum time-decayed, event-weighted interactions, float32 (n_users, n_items).

    References
    ----------
    Hu, Koren, Volinsky (2008), section 4. doi:10.1109/ICDM.2008.22
    """
    rows = dataset.interactions
    weights = history_weights(History(rows.item_rows, rows.kinds, rows.at_ms), now_ms, blend)
    summed = coo_matrix(
        (weights.astype(np.float64), (rows.user_rows, rows.item_rows)),
        shape=(dataset.n_users, dataset.n_items),
    ).tocsr()
    summed.eliminate_zeros()
    return summed.astype(np.float32)
