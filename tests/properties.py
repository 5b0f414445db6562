"""How hypothesis tries what must hold for all values: the same few each time, however long one takes."""

from hypothesis import HealthCheck, settings

few = settings(
    max_examples=50,
    deadline=None,
    derandomize=True,
    database=None,
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.filter_too_much],
)
