"""failing_words: on networks that are written by hand, so that it is known where they fail."""

import functools
import sys

import jax
import jax.numpy as jnp
import numpy as np
import pytest
from jax import lax

from r3nn import model
from r3nn.analysis import Answers, failing_words
from r3nn.tasks import Automaton, get_task

module = sys.modules["r3nn.analysis.failing_words"]
PARITY, S3 = get_task("parity").automaton(), get_task("s3").automaton()
GOLDEN = Automaton(np.array([[0, 1], [0, -1]]), np.array([0, -1]), 0)  # no 1 behind a 1; asks behind 0 alone
SMALL = {"steps": 800, "batch": 64, "chunk": 100, "pairs": 8, "beam": 0}
BEAM = {**SMALL, "beam": 4, "beam_steps": 20}


def exact(machine, doubt=lambda track, token, t: (track, 0.0), track=0):
    """A table of the machine. doubt: (what it has tracked, token, step) -> (what it tracks, what is taken off
    the margin of 1): above 1 the answer is wrong, NaN is no number."""
    tables = jnp.maximum(machine.next, 0), jnp.maximum(machine.output, 0)
    classes = int(machine.output.max()) + 2

    def start(params, size):
        full = lambda n: jnp.full(size, n, jnp.int32)
        return full(machine.start), jax.tree.map(full, track), full(0)

    def advance(params, carry, tokens):
        def step(carry, tokens):
            state, track, t = carry
            state = tables[0][state, tokens]
            track, less = jax.vmap(doubt)(track, tokens, t)
            right = jax.nn.one_hot(tables[1][state], classes)
            return (state, track, t + 1), (1 - right) * less[:, None] + right

        return lax.scan(step, carry, tokens)

    return Answers(start, advance)


def test_an_exact_network_has_no_failure_in_any_family():
    for machine, absent in [(S3, set()), (GOLDEN, {"commutators"})]:
        found = failing_words(machine, exact(machine), (), **BEAM)
        names = {"periodic", "powers", "commutators", "identity", "rare", "neighbours", "beam"}
        assert {*found.families} == names - absent and found.shortest is None
        for family in found.families.values():
            assert family.tried > 0 and family.failing == len(family.first) == family.share == 0
            assert family.right_to() == family.steps and family.shortest is None
    assert found.families["powers"].tried == 1  # of the machine that allows no 1 behind a 1


def zeros_behind(track, token, t):
    """Tracks whether the word is 1 0 0 0 ...: how many zeros there are, or -1."""
    zeros = jnp.where(t == 0, token - 1, jnp.where((track >= 0) & (token == 0), track + 1, -1))
    return zeros, jnp.where(zeros >= 16, 2.0, 0.0)


def ones(track, token, t):
    """Tracks how many ones in succession the word begins with; late, the answer is no number."""
    track = jnp.where(token == 1, track + (track == t), track)
    return track, jnp.where((track == t + 1) & (t > 741), jnp.nan, 0.0)


def test_zeros_behind_a_one():
    found = failing_words(PARITY, exact(PARITY, zeros_behind), (), **SMALL)
    np.testing.assert_array_equal(found.shortest.tokens, [1] + 16 * [0])
    assert found.shortest[1:] == (16, 1, 0, 1, 1)
    periodic = found.families["periodic"]
    assert periodic.tried == 7 * 6 and periodic.failing == 4  # 1 (0), 1 (00), 10 (0), 10 (00)
    assert list(periodic.first) == 4 * [16] and periodic.share == 4 / 42
    assert periodic.right_to() == 16 and periodic.right_to(0.9) == 800
    assert found.families["identity"].failing == 3  # behind 1, 10 and 100
    assert found.families["powers"].failing == found.families["neighbours"].failing == 0


def test_what_comes_late():
    found = failing_words(PARITY, exact(PARITY, ones), (), **SMALL)
    np.testing.assert_array_equal(found.shortest.tokens, np.ones(743))
    assert (found.shortest.step, found.shortest.period) == (742, 1)
    assert found.families["powers"][:3] == (2, 1, 0.5)


def test_the_beam_finds_what_no_other_family_has():
    """A margin that falls with each repetition of 2 0 1 1 2, to a wrong answer after five of them."""
    pattern = jnp.array([2, 0, 1, 1, 2])

    def doubt(track, token, t):
        track = jnp.where(token == pattern[track % 5], track + 1, 0)
        return track, track / 24.5

    options = {**BEAM, "longest": 1, "steps": 40, "beam_steps": 40}
    found = failing_words(S3, exact(S3, doubt), (), **options)
    assert [name for name, family in found.families.items() if family.failing] == ["beam"]
    np.testing.assert_array_equal(found.shortest.tokens, 5 * pattern.tolist())
    beam = found.families["beam"]
    assert beam.failing == 1 and beam.steps == 25 and beam.tried > 6 * 25 and list(beam.first) == [24]


def test_a_failure_that_does_not_come_again_is_none():
    """Wrong in company only."""

    def advance(params, carry, tokens):
        right = jnp.array([1.0, 0.0]) if tokens.shape[1] == 1 else jnp.array([0.0, 1.0])
        return carry, jnp.broadcast_to(right, (*tokens.shape, 2))

    silent = Automaton(np.zeros((1, 2), np.int32), np.zeros(1, np.int32), 0)
    answers = Answers(lambda params, size: (), advance)
    found = failing_words(silent, answers, (), **{**SMALL, "steps": 20, "pairs": 2})
    assert found.shortest is None and not any(family.failing for family in found.families.values())


def test_a_model_is_searched_with_one_program_a_batch():
    """A network of ones fails at once; it is traced for the batch, for the replay and for the beam."""
    built = model.build(vocab=6, out_size=6, hidden_size=3, cell="gru", depth=2)
    params = jax.tree.map(jnp.ones_like, jax.eval_shape(built.init, jax.random.key(0)))
    sizes = []

    def advance(params, carry, tokens):
        sizes.append(tokens.shape)
        return built.chunk(params, carry, tokens)

    answers = Answers(lambda params, size: built.start(params, (size,)), advance)
    found = failing_words(S3, answers, params, **BEAM)
    assert set(sizes) == {(100, 64), (100, 1), (1, 24)} and len(sizes) == 3
    assert found.shortest.step == 0 and found.families["beam"].failing == 5


# The words.


def test_many_words_are_drawn_by_the_seed():
    machine, search = get_task("s5").automaton(), module.Search(most=50)
    for family in (module.periodic, module.commutators, module.identity, module.rare):
        words = [family(machine, search, np.random.default_rng(seed)) for seed in (0, 0, 1)]
        assert len(set(words[0])) == len(words[0]) == 50 and words[0] == words[1] != words[2]


def test_commutators_of_generators():
    """Inverses are powers where they are no tokens; each loop permutes as [a, b] does."""
    machine = get_task("a5", generators=2).automaton()
    loops = module.commutators(machine, module.Search(), None)
    assert len(loops) == 2 and all(len(v) > 4 for _, v in loops)
    run = lambda word: functools.reduce(
        lambda states, token: machine.next[states, token], word, np.arange(60)
    )
    for _, loop in loops:
        a, b = loop[:2]
        back = np.argsort(machine.next[:, a]), np.argsort(machine.next[:, b])
        np.testing.assert_array_equal(run(loop), back[1][back[0][run((a, b))]])
    assert not module.commutators(get_task("even_pairs").automaton(), module.Search(), None)


def test_neighbours_differ_in_one_token():
    for machine in (S3, GOLDEN):
        chunks = [*module.neighbours(machine, module.Search(steps=50, pairs=20, chunk=16), (0, 5))]
        assert [chunk.shape for chunk in chunks] == 3 * [(20, 2, 16)] + [(20, 2, 2)]
        pairs = np.concatenate(chunks, axis=2)
        assert ((pairs[:, 0] != pairs[:, 1]).sum(axis=1) == 1).all()
        (whole,) = module.neighbours(machine, module.Search(steps=50, pairs=20, chunk=64), (0, 5))
        np.testing.assert_array_equal(whole, pairs)
    assert not ((pairs[:, 0, 1:] == 1) & (pairs[:, 0, :-1] == 1)).any()


def test_both_neighbours_are_replayed():
    """Where the word of a pair that fails first fails in company alone, the other still counts."""
    search = module.Search(steps=20, pairs=3, chunk=8)
    pair = np.concatenate([*module.neighbours(S3, search, (0, 5))], axis=2)[1]  # int [2, 20]
    steps = jnp.array([18, 19])[:, None, None]

    def advance(params, carry, tokens):
        at, same = carry  # same [2, B]: as the words of the pair, so far
        t = at + jnp.arange(len(tokens))
        same = same[:, None] & (jnp.cumsum(tokens != jnp.asarray(pair)[:, t, None], axis=1) == 0)
        wrong = (same & (t[:, None] == steps))[0 if tokens.shape[1] > 1 else 1 :].any(axis=0)
        return (at + len(tokens), same[:, -1]), jax.nn.one_hot(wrong.astype(jnp.int32), 2)

    silent = Automaton(np.zeros((1, 6), np.int32), np.zeros(1, np.int32), 0)
    answers = Answers(lambda params, size: (0, jnp.ones((2, size), bool)), advance)
    found = failing_words(silent, answers, (), **{**search._asdict(), "beam": 0, "batch": 4, "longest": 1})
    family = found.families["neighbours"]
    assert (family.tried, family.failing, list(family.first)) == (3, 1, [19])
    np.testing.assert_array_equal(family.shortest.tokens, pair[1])


@pytest.mark.parametrize(
    "machine, options, words",
    [
        (PARITY, {"steps": 0}, "steps must be an integer from 1"),
        (PARITY, {"pears": 3}, "'pears' is no option of failing_words: longest, steps"),
        (Automaton(np.full((1, 2), -1), np.zeros(1), 0), {}, "machine must allow a token at its start"),
    ],
)
def test_bad_input_gets_one_sentence(machine, options, words):
    with pytest.raises(ValueError, match=words) as caught:
        failing_words(machine, exact(PARITY), (), **options)
    assert str(caught.value).count(".") == 1


def test_an_inverse_that_takes_too_many_powers_is_left_out():
    """Cycles of 2, 3, 5 ... 31 places: their order is 200,560,490,130."""
    column, first = np.arange(160), 0
    for cycle in (2, 3, 5, 7, 11, 13, 17, 19, 23, 29, 31):
        column[first : first + cycle] = np.roll(np.arange(first, first + cycle), -1)
        first += cycle
    tokens = np.stack([column, np.roll(np.arange(160), 1)], axis=1).astype(np.int32)
    machine = Automaton(tokens, np.zeros(160, np.int32), 0)
    assert module.commutators(machine, module.Search(), None) == []
