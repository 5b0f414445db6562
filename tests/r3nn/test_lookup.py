"""Expressions in configs, such as "heads(gru(activation=silu), 4)": what they mean, whatever they are."""

import dataclasses

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from r3nn import heads
from r3nn._lookup import evaluate
from r3nn.cells import CELLS, TRANSFORMS, Cell, multiplicative
from r3nn.cells._activations import ACTIVATIONS
from tests.properties import few

ACTIVE = {name: CELLS[name] for name in ("gru", "lstm", "ugrnn", "elman")}

rows = st.sampled_from(sorted(CELLS)).map(lambda name: (name, CELLS[name]))
changed = st.builds(
    lambda name, word, quote: (
        f"{name}(activation={quote}{word}{quote})",
        dataclasses.replace(ACTIVE[name], activation=ACTIVATIONS[word]),
    ),
    st.sampled_from(sorted(ACTIVE)),
    st.sampled_from(sorted(ACTIVATIONS)),
    st.sampled_from(["", "'", '"']),
)
called = st.one_of(
    st.builds(
        lambda inner, count: (f"heads({inner[0]}, {count})", heads(inner[1], count)),
        changed,
        st.integers(1, 9),
    ),
    st.builds(
        lambda inner, count: (f"heads(count={count}, cell={inner[0]})", heads(inner[1], count)),
        changed,
        st.integers(1, 9),
    ),
    st.builds(lambda inner: (f"multiplicative({inner[0]})", multiplicative(inner[1])), changed),
)


def read(text):
    return evaluate("cell", CELLS, TRANSFORMS, text, Cell)


@few
@given(st.one_of(rows, changed, called), st.sampled_from(["", " ", "  ", "\n"]))
def test_an_expression_is_what_it_calls(expression, space):
    """Wherever there is room between its words."""
    text, value = expression
    assert read(text) == value
    if "(" in text:
        loose = text.replace("(", f"({space}").replace(",", f"{space},{space}").replace(")", f"{space})")
        assert read(f"{space}{loose}{space}") == value


WORDS = [*sorted(ACTIVE), "heads", "multiplicative", "nobody", "activation", "relu", "count"]
SIGNS = [*"()[]{},=*:'-.\\4 π\0", "**", "1e9"]


@few
@given(st.lists(st.sampled_from(WORDS + SIGNS), max_size=12).map("".join))
@example("heads(gru, {[]})")
@example("heads(gru, {[]: 1})")
@example("heads(**gru)")
@example("gru(**{'activation': 1})")
def test_what_cannot_be_read_is_refused_by_a_value_error(text):
    """Whatever is between the words."""
    try:
        read(text)
    except ValueError as error:
        assert str(error).strip()
    except TypeError as error:  # of the function, which was given what it does not take
        assert text.strip().startswith(("heads(", "multiplicative(")) and str(error)


@few
@given(st.sampled_from(sorted(CELLS)), st.integers(0, 30), st.sampled_from("qxj"))
def test_a_slip_is_told_with_the_name_that_was_meant(name, place, letter):
    slip = name[: place % len(name)] + letter + name[place % len(name) :]
    for text in (slip, f"heads({slip}, 2)"):
        with pytest.raises(ValueError, match=f"{slip!r} is unknown") as refused:
            read(text)
        assert str(refused.value).count(".") == 1
