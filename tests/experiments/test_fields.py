"""Configs are merged field by field, whichever fields they have."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st
from ml_collections import ConfigDict

from configs import default
from configs._fields import nested
from configs.default import FIELDS
from experiments.config.fields import NAMES, complete, fields, first_difference, merge
from experiments.errors import BadInput
from experiments.program.files import to_json
from tests.properties import few


def values(name):
    """What a field may be."""
    field = FIELDS[name]
    low, high = max(field.low, -1e6), min(field.high, 1e6)
    match field.usual:
        case bool():
            return st.booleans()
        case int():
            return st.integers(int(low), int(high))
        case float():
            drawn = st.floats(low, high, allow_subnormal=False).filter(lambda x: x == 0 or abs(x) > 1e-30)
            return drawn.map(lambda x: x + 0.0)
    return st.sampled_from(field.of or (field.usual,))


some = st.lists(st.sampled_from(sorted(NAMES)), unique=True, max_size=8).flatmap(
    lambda names: st.fixed_dictionaries({name: values(name) for name in names})
)
USUAL = dict(fields(default.get_config()))


@few
@given(some)
def test_a_config_is_its_own_fields_and_the_usual_others(asked):
    """And merged again, completed, or written and read, it is the same."""
    whole = merge(ConfigDict(nested(asked)))
    assert dict(fields(whole)) == USUAL | asked
    assert merge(whole) == whole
    ready = complete(whole)
    assert dict(fields(ready)) == USUAL | asked
    assert complete(ConfigDict(json.loads(to_json(ready.to_dict())))) == ready
    assert first_difference(ready, ready) is None


@few
@given(some, some)
def test_the_later_config_wins(first, second):
    """Field by field, not group by group; and the difference between two is a field that differs."""
    one = merge(ConfigDict(nested(first)))
    both = one.copy_and_resolve_references()
    both.update_from_flattened_dict(second)
    assert dict(fields(merge(both))) == USUAL | first | second
    name = first_difference(one, both)
    assert name is None or (first | second)[name] != (USUAL | first)[name]


@few
@given(st.sampled_from(sorted(NAMES)), st.sampled_from("qxj"), st.integers(0, 30))
def test_an_unknown_field_is_named(name, letter, place):
    group, _, field = name.rpartition(".")
    slip = ".".join(filter(None, [group, field[: place % len(field)] + letter + field[place % len(field) :]]))
    with pytest.raises(BadInput, match=f"config field '{slip}' is unknown"):
        merge(ConfigDict(nested({slip: 1})))
