"""The committed catalogue accepts whatever the catalogue of the base revision accepted.

The base is what PENSTOCK_BASE_REVISION names, `HEAD` for a working tree that differs from it, the
first parent for a clean one: an incompatible edit fails here although the catalogue was
regenerated with it.
"""

from pathlib import Path

import pytest

from penstock_schemas.compat import compare_with_revision
from penstock_schemas.revisions import NoBase, base_revision

CATALOG = Path(__file__).parents[2] / "schemas" / "catalog"


def test_the_catalogue_accepts_what_the_base_revision_accepted() -> None:
    try:
        base = base_revision(CATALOG)
        problems = compare_with_revision(base, CATALOG)
    except NoBase as error:
        pytest.skip(f"nothing to compare with: {error}")
    assert problems == [], f"against {base}"
