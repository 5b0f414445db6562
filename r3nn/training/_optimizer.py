"""Makes optimizers and learning-rate schedules by name."""

import jax.numpy as jnp
import optax

from r3nn.training._spec import OPTIMIZERS, HParams, Spec


def optimizer(spec: Spec, hparams: HParams) -> optax.GradientTransformation:
    """Returns the learner's own; or else clipping by global norm, then the spec's optimizer under its
    schedule."""
    if own := spec.learner.optimizer(hparams):
        return own

    def rate(count):
        return hparams.lr * schedule(spec, count)

    make = OPTIMIZERS[spec.optimizer] if isinstance(spec.optimizer, str) else spec.optimizer
    return optax.chain(optax.clip_by_global_norm(hparams.clip), make(rate, hparams))


def outer(hparams: HParams) -> optax.GradientTransformation:
    """Makes the outer optimizer of local updates: SGD with Nesterov's momentum, on the difference d between
    the parameters and the replicas' average."""
    return optax.sgd(hparams.outer_lr, momentum=hparams.outer_momentum, nesterov=True)


def schedule(spec: Spec, count):
    """Returns the fraction of the peak rate at an update: linear warm-up, then the named fall."""
    rise = jnp.minimum(1.0, (count + 1) / max(1, spec.warmup)) if spec.warmup else 1.0
    done = jnp.clip((count - spec.warmup) / max(1, spec.updates - spec.warmup), 0.0, 1.0)
    falls = {"constant": 0.0, "linear": done, "cosine": 0.5 * (1 - jnp.cos(jnp.pi * done))}
    return rise * (1 - (1 - spec.end_fraction) * falls[spec.schedule])
