"""A snapshot to arrays and back."""

import numpy as np

from models.snapshot import Snapshot, category_prior, country_prior, trending_prior
from tests.unit.models.small_snapshot import make_snapshot


def test_arrays_round_trip_without_a_copy() -> None:
    """Rebuilding uses the very arrays it is given: they may be memory-mapped."""
    snapshot = make_snapshot()
    arrays = snapshot.to_arrays()
    again = Snapshot.from_arrays(snapshot.manifest, arrays)
    for name, array in again.to_arrays().items():
        assert array is arrays[name], name


def test_array_names_tell_where_they_belong() -> None:
    """Nested names are joined by dots; they are part of the format."""
    names = set(make_snapshot().to_arrays())
    assert {
        "items.factors",
        "items.ids.data",
        "users.history.offsets",
        "graph.weights",
        "priors.lists.rows",
    } <= names


def test_priors_are_found_by_context() -> None:
    """A known context has a list, an unknown one none."""
    priors = make_snapshot().priors
    found = priors.get(country_prior("GB"))
    assert found is not None
    assert found[0].tolist() == [1]
    assert priors.get(country_prior("AE")) is None


def test_prior_names_are_pinned() -> None:
    """Trainer and service name contexts alike."""
    assert country_prior("GB") == "country:GB"
    assert category_prior("Home > Mugs") == "category:Home > Mugs"
    assert trending_prior("GB") == "trending:GB"


def test_arrays_have_the_documented_types() -> None:
    """Rows are int32 and scores float32, whatever made them."""
    arrays = make_snapshot().to_arrays()
    for name in ("graph.rows", "users.history.rows", "items.n_interactions"):
        assert arrays[name].dtype == np.int32, name
    for name in ("graph.weights", "items.factors", "items.popularity"):
        assert arrays[name].dtype == np.float32, name
