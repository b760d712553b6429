"""From a profile to the fact that the log holds: the figures without the distributions."""

from penstock_datasets.domain.profile import ColumnProfile, Profile, Value
from penstock_schemas import nouns


def to_tables(profile: Profile) -> tuple[nouns.dataset.TableProfile, ...]:
    """The tables of a profile as the event carries them.

    Where the profiler counted no distinct values (nested types), the contract's 0 stands.
    """
    return tuple(
        nouns.dataset.TableProfile(
            table=table.name,
            rows=table.rows,
            columns=tuple(_column(column) for column in table.columns),
        )
        for table in profile.tables
    )


def _column(column: ColumnProfile) -> nouns.dataset.ColumnProfile:
    return nouns.dataset.ColumnProfile(
        name=column.name,
        type=column.type,
        nulls=column.nulls,
        distinct=column.distinct or 0,
        minimum=_bound(column.min),
        maximum=_bound(column.max),
        mean=column.mean,
    )


def _bound(value: Value) -> float | str | None:
    if isinstance(value, bool):
        return str(value).lower()
    return value
