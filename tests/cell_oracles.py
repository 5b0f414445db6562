"""One step of each cell, its output and its first state, again: NumPy, one sequence, no batch, no tricks.

Nothing here calls r3nn. Vectors are columns, as papers write them: W [H, D], so `W(p, gate) @ x`.
"""

import numpy as np

from r3nn import cells


def σ(a):
    return 1 / (1 + np.exp(-a))


def W(p, gate):
    return getattr(p.input, gate).T


def U(p, gate):
    return getattr(p.recurrent, gate).T


def b(p, gate):
    return 0.0 if p.bias is None else getattr(p.bias, gate)


def b_(p):
    """The candidate's recurrent bias."""
    return 0.0 if p.recurrent_bias is None else p.recurrent_bias


# One step of each cell: (params, state, x) -> state.


def elman(p, h, x):
    """Elman 1990."""
    return np.tanh(W(p, "candidate") @ x + U(p, "candidate") @ h + b(p, "candidate"))


def ugrnn(p, h, x):
    """The article's (3.1.1) to (3.1.3), with its W·[h, x]: W_z, W_r [H, H + D]."""
    W_z = np.concatenate([U(p, "update"), W(p, "update")], axis=1)
    W_r = np.concatenate([U(p, "candidate"), W(p, "candidate")], axis=1)
    hx = np.concatenate([h, x])
    z = σ(W_z @ hx + b(p, "update"))
    candidate = np.tanh(W_r @ hx + b(p, "candidate"))
    return (1 - z) * h + z * candidate


def mgu(p, h, x):
    """Zhou et al. 2016, eq. 6."""
    f = σ(W(p, "forget") @ x + U(p, "forget") @ h + b(p, "forget"))
    candidate = np.tanh(W(p, "candidate") @ x + U(p, "candidate") @ (f * h) + b(p, "candidate"))
    return (1 - f) * h + f * candidate


def mgu_reset_after(p, h, x):
    """flax.linen.MGUCell."""
    f = σ(W(p, "forget") @ x + U(p, "forget") @ h + b(p, "forget"))
    n = np.tanh(W(p, "candidate") @ x + b(p, "candidate") + f * (U(p, "candidate") @ h + b_(p)))
    return (1 - f) * n + f * h


def gru(p, h, x):
    """Cho et al. 2014 in cuDNN's form."""
    r = σ(W(p, "reset") @ x + U(p, "reset") @ h + b(p, "reset"))
    z = σ(W(p, "update") @ x + U(p, "update") @ h + b(p, "update"))
    n = np.tanh(W(p, "candidate") @ x + b(p, "candidate") + r * (U(p, "candidate") @ h + b_(p)))
    return (1 - z) * n + z * h


def gru_reset_before(p, h, x):
    """Cho et al. 2014, eq. 5 to 8."""
    r = σ(W(p, "reset") @ x + U(p, "reset") @ h + b(p, "reset"))
    z = σ(W(p, "update") @ x + U(p, "update") @ h + b(p, "update"))
    n = np.tanh(W(p, "candidate") @ x + U(p, "candidate") @ (r * h) + b(p, "candidate"))
    return z * h + (1 - z) * n


def lstm(p, state, x):
    """Gers et al. 2000, without peepholes."""
    h, c = state
    i = σ(W(p, "input") @ x + U(p, "input") @ h + b(p, "input"))
    f = σ(W(p, "forget") @ x + U(p, "forget") @ h + b(p, "forget"))
    g = np.tanh(W(p, "cell") @ x + U(p, "cell") @ h + b(p, "cell"))
    o = σ(W(p, "output") @ x + U(p, "output") @ h + b(p, "output"))
    c = f * c + i * g
    return cells.LSTMState(o * np.tanh(c), c)


def janet(p, c, x, β=1.0):
    """Van der Westhuizen & Lasenby 2018."""
    s = U(p, "forget") @ c + W(p, "forget") @ x + b(p, "forget")
    candidate = np.tanh(U(p, "candidate") @ c + W(p, "candidate") @ x + b(p, "candidate"))
    return σ(s) * c + (1 - σ(s - β)) * candidate


def star(p, h, x):
    """Turkoglu et al. 2019."""
    z = np.tanh(W(p, "candidate") @ x + b(p, "candidate"))
    k = σ(W(p, "update") @ x + U(p, "update") @ h + b(p, "update"))
    return np.tanh((1 - k) * h + k * z)


def nbrc(p, h, x):
    """Vecoven et al. 2021; 1 + tanh(s) = 2 σ(2 s)."""
    a = 2 * σ(2 * (W(p, "feedback") @ x + U(p, "feedback") @ h + b(p, "feedback")))
    c = σ(W(p, "update") @ x + U(p, "update") @ h + b(p, "update"))
    return c * h + (1 - c) * np.tanh(W(p, "candidate") @ x + a * h + b(p, "candidate"))


def brc(p, h, x):
    """Vecoven et al. 2021: the nBRC with diagonal matrices."""
    return nbrc(p._replace(recurrent=type(p.recurrent)(*map(np.diag, p.recurrent))), h, x)


def antisymmetric(p, h, x, ε=0.1, γ=0.01):
    """Chang et al. 2019, with gating."""
    V = U(p, "candidate")
    M = V - V.T - γ * np.eye(len(h))
    z = σ(M @ h + W(p, "update") @ x + b(p, "update"))
    return h + ε * z * np.tanh(M @ h + W(p, "candidate") @ x + b(p, "candidate"))


def unicornn(p, state, x, Δt=0.19, α=30.65):
    """Rusch & Mishra 2021: first the velocity, then the position with the new velocity."""
    y, z = state
    step = Δt * σ(p.control)
    force = np.tanh(p.recurrent.candidate * y + W(p, "candidate") @ x + b(p, "candidate")) + α * y
    z = z - step * force
    return cells.CoRNNState(y + step * z, z)


def lrc(p, h, x):
    """Farsang et al. 2025, Δt = 1."""
    of_x, of_h = σ(p.slope * (x - p.shift)), σ(p.recurrent.synapse * h + p.synapse_bias)
    f, z = (
        W(p, gate) @ of_x + getattr(p.strength, gate) * of_h + getattr(p.leak, gate)
        for gate in p.leak._fields
    )
    ε = σ(p.recurrent.elastance * h + p.elastance_bias)
    return (1 - ε * σ(f)) * h + ε * p.reversal * (2 * σ(2 * z) - 1)


def indrnn(p, h, x):
    """Li et al. 2018, eq. 2."""
    return np.maximum(W(p, "candidate") @ x + p.recurrent.candidate * h + b(p, "candidate"), 0)


def slstm(p, state, x):
    """Beck et al. 2024, eq. 8 to 17, stabilised."""
    h, c, n, m = state
    a = {gate: W(p, gate) @ x + U(p, gate) @ h + b(p, gate) for gate in p.input._fields}
    log_f = -np.log1p(np.exp(-a["forget"]))
    m_t = np.maximum(log_f + m, a["input"])
    i, f = np.exp(a["input"] - m_t), np.exp(log_f + m - m_t)
    c = f * c + i * np.tanh(a["cell"])
    n = f * n + i
    return cells.SLSTMState(σ(a["output"]) * c / n, c, n, m_t)


def lem(p, state, x, Δt=1.0):
    """Rusch et al. 2022, eq. 3."""
    y, z = state
    of_y = lambda gate, y: W(p, gate) @ x + U(p, gate) @ y + b(p, gate)
    Δt_z, Δt_y = Δt * σ(of_y("z_step", y)), Δt * σ(of_y("y_step", y))
    z = (1 - Δt_z) * z + Δt_z * np.tanh(of_y("z", y))
    y = (1 - Δt_y) * y + Δt_y * np.tanh(of_y("y", z))
    return cells.LEMState(y, z)


def cornn(p, state, x, Δt=0.076, γ=0.4, ε=8.0):
    """Rusch & Mishra 2021, eq. 3: first the velocity, then the position with the new velocity."""
    y, z = state
    force = np.tanh(p.recurrent.y.T @ y + p.recurrent.z.T @ z + W(p, "candidate") @ x + b(p, "candidate"))
    z = z + Δt * force - Δt * γ * y - Δt * ε * z
    return cells.CoRNNState(y + Δt * z, z)


def scornn(p, h, x):
    """Helfrich et al. 2018, the first half of the signs -1."""
    S, H = p.recurrent.candidate, len(h)
    A = S - S.T
    D = np.diag([-1.0 if i < round(H / 2) else 1.0 for i in range(H)])
    z = W(p, "candidate") @ x + np.linalg.inv(np.eye(H) + A) @ (np.eye(H) - A) @ D @ h
    return np.where(abs(z) + b(p, "candidate") > 0, z / abs(z) * (abs(z) + b(p, "candidate")), 0)


def m2rnn(p, S, x):
    """Mishra et al. 2026, head by head."""
    n, K, V = S.shape
    k, v, f = (W(p, gate) @ x + b(p, gate) for gate in ("key", "value", "forget"))
    new = []
    for i in range(n):
        write = np.outer(k[i * K : (i + 1) * K], v[i * V : (i + 1) * V])
        new.append(σ(f[i]) * S[i] + (1 - σ(f[i])) * np.tanh(S[i] @ p.recurrent[i] + write))
    return np.stack(new)


def m2rnn_output(p, S, x):
    """Sᵀ q of each head."""
    q = (W(p, "query") @ x + b(p, "query")).reshape(len(S), -1)
    return np.concatenate([S_i.T @ q_i for S_i, q_i in zip(S, q, strict=True)])


def deltanet(p, S, x, α=None, β_max=2.0):
    """Yang et al. 2024, head by head, with the matrix I - β k kᵀ."""
    n, V, K = S.shape
    k, v, β = ((W(p, gate) @ x + b(p, gate)).reshape(n, -1) for gate in ("key", "value", "rate"))
    new = []
    for i in range(n):
        k_i, β_i = k[i] / np.sqrt(k[i] @ k[i] + 1e-6), β_max * σ(β[i, 0])
        carried = S[i] @ (np.eye(K) - β_i * np.outer(k_i, k_i))
        new.append((1 if α is None else α[i]) * carried + β_i * np.outer(v[i], k_i))
    return np.stack(new)


def gated_deltanet(p, S, x):
    """Yang et al. 2025."""
    return deltanet(p, S, x, α=σ(W(p, "decay") @ x + b(p, "decay")))


def deltanet_output(p, S, x):
    """S q of each head."""
    q = (W(p, "query") @ x + b(p, "query")).reshape(len(S), -1)
    return np.concatenate([S_i @ q_i for S_i, q_i in zip(S, q, strict=True)])


def pd_ssm(p, h, x):
    """Terzić et al. 2025, real: unit j moves to the unit at which column j of the mixture is largest."""
    mixture = np.exp(W(p, "select") @ x + b(p, "select"))
    M = sum(share * M_k for share, M_k in zip(mixture / mixture.sum(), p.recurrent, strict=True))
    s = W(p, "decay") @ x + b(p, "decay")
    new = np.array(W(p, "candidate") @ x + b(p, "candidate"))
    for j, h_j in enumerate((2 * σ(2 * s) - 1) * h):  # tanh
        new[np.argmax(M[:, j])] += h_j
    return new


def multiplied(p, h, x):
    """Sutskever et al. 2011: m_t."""
    return (p.input_multiplier.T @ x) * (p.multiplier.T @ h)


def mrnn(p, h, x):
    """Sutskever et al. 2011."""
    return np.tanh(W(p, "candidate") @ x + U(p, "candidate") @ multiplied(p, h, x) + b(p, "candidate"))


def mugrnn(p, h, x):
    """(3.1.1) to (3.1.3), m in the gate and in the candidate."""
    m = multiplied(p, h, x)
    z = σ(W(p, "update") @ x + U(p, "update") @ m + b(p, "update"))
    return (1 - z) * h + z * np.tanh(W(p, "candidate") @ x + U(p, "candidate") @ m + b(p, "candidate"))


def mlstm(p, state, x):
    """Krause et al. 2016, with the LSTM's tanh."""
    return lstm(p, state._replace(h=multiplied(p, state.h, x)), x)


def diagonal_gru(p, h, x):
    """Danieli et al. 2025, eq. 3.1a, with diagonal matrices A."""
    A = lambda gate: np.diag(getattr(p.recurrent, gate))
    z = σ(A("update") @ h + W(p, "update") @ x + b(p, "update"))
    r = σ(A("reset") @ h + W(p, "reset") @ x + b(p, "reset"))
    candidate = np.tanh(A("candidate") @ (h * r) + W(p, "candidate") @ x + b(p, "candidate"))
    return (1 - z) * h + z * candidate


def diagonal_lstm(p, state, x):
    """Danieli et al. 2025, eq. 3.1b, with diagonal matrices A and C."""
    h, c = state
    A, C = (lambda gate, tree=tree: np.diag(getattr(tree, gate)) for tree in (p.recurrent, p.peephole))
    f = σ(A("forget") @ h + C("forget") @ c + W(p, "forget") @ x + b(p, "forget"))
    c = f * c + (1 - f) * np.tanh(A("cell") @ h + W(p, "cell") @ x + b(p, "cell"))
    o = σ(A("output") @ h + C("output") @ c + W(p, "output") @ x + b(p, "output"))
    return cells.LSTMState(o * np.tanh(c), c)


def mingru(p, h, x):
    """Feng et al. 2024, section 3.1."""
    z = σ(W(p, "update") @ x + b(p, "update"))
    return (1 - z) * h + z * (W(p, "candidate") @ x + b(p, "candidate"))


def minlstm(p, h, x):
    """Feng et al. 2024, section 3.2."""
    f, i = (σ(W(p, gate) @ x + b(p, gate)) for gate in ("forget", "input"))
    return f / (f + i) * h + i / (f + i) * (W(p, "candidate") @ x + b(p, "candidate"))


def complex_of(pair):
    return pair.re + 1j * pair.im


def lru(p, state, x):
    """Orvieto et al. 2023, in complex numbers."""
    λ = np.exp(-np.exp(p.log_decay) + 1j * np.exp(p.log_phase))
    s = λ * complex_of(state) + np.exp(p.log_scale) * (complex_of(p.input).T @ x)
    return type(state)(s.real, s.imag)


def lru_output(p, state, x):
    """Re(C s) + D x."""
    return (complex_of(p.output).T @ complex_of(state)).real + p.skip.T @ x


def rglru(p, h, x):
    """De et al. 2024, eq. 1 to 4, of v = W_v x + b_v."""
    r, i = (σ(W(p, gate) @ x + b(p, gate)) for gate in ("recurrence", "input"))
    a = σ(p.decay) ** (8 * r)
    return a * h + np.sqrt(1 - a**2) * (i * (W(p, "candidate") @ x + b(p, "candidate")))


STEPS = {getattr(cells, name): globals()[name] for name in cells.CELLS if name in globals()}


def step(cell, p, state, x):
    """state_{t-1} -> state_t; heads as a dense cell with a block-diagonal matrix."""
    if cell.recurrence == "heads":
        p = p._replace(recurrent=type(p.recurrent)(*map(block_diagonal, p.recurrent)))
        cell = next(dense for dense in STEPS if type(dense) is type(cell) and dense.recurrence == "dense")
    if cell not in STEPS:
        name = next((name for name, known in cells.CELLS.items() if known == cell), cell)
        raise NotImplementedError(f"tests/cell_oracles.py has no step for {name!r}.")
    return STEPS[cell](p, state, x)


def block_diagonal(blocks):
    """[n, d, d] -> [n*d, n*d]"""
    n, d, _ = blocks.shape
    whole = np.zeros((n * d, n * d))
    for i, block in enumerate(blocks):
        whole[i * d : (i + 1) * d, i * d : (i + 1) * d] = block
    return whole


def output(cell, p, state, x):
    """y_t from state_t and x_t."""
    if cell is cells.lru:
        return lru_output(p, state, x)
    if cell is cells.m2rnn:
        return m2rnn_output(p, state, x)
    if cell in (cells.deltanet, cells.gated_deltanet):
        return deltanet_output(p, state, x)
    return state[0] if isinstance(state, tuple) else state  # h, or y: the first


def hidden_size(cell, p):
    """H"""
    if cell is cells.lru:
        return p.skip.shape[1]
    if cell is cells.lrc:
        return len(p.reversal)
    if cell is cells.pd_ssm:
        return p.input.candidate.shape[1]
    return getattr(p.input, "value", p.input[0]).shape[1]


def initial(cell, p):
    """The state before the first step: zeros, or what was learned."""
    zeros = np.zeros(hidden_size(cell, p))
    if cell is cells.slstm:
        learned = p.initial is not None
        h, c = p.initial if learned else (zeros, zeros)
        return cells.SLSTMState(h, c, zeros + learned, zeros - (0 if learned else 1e30))
    if p.initial is not None:
        return p.initial
    if cell is cells.m2rnn:
        return np.zeros((1, 16, len(zeros)))
    if cell in (cells.deltanet, cells.gated_deltanet):
        return np.zeros((1, len(zeros), 16))
    kinds = {"lstm": cells.LSTMState, "mlstm": cells.LSTMState, "diagonal_lstm": cells.LSTMState}
    kinds |= {"lem": cells.LEMState, "cornn": cells.CoRNNState, "unicornn": cells.CoRNNState}
    kinds |= {"lru": lambda re, im: type(p.input)(re, im)}
    for name, kind in kinds.items():
        if cell is getattr(cells, name):
            return kind(zeros, zeros)
    return zeros
