"""Defines what may be a static argument of `jax.jit`."""


class Value:
    """A value is a frozen dataclass, compared and hashed by all its fields, so that equal values may share a
    program.

    A subclass has to be a frozen dataclass itself. One that is not inherits the comparison of the class
    above, which sees none of its own fields: values that differ in these would run each other's programs.
    `__init_subclass__` would be too early to tell, as `dataclass` runs after it.
    """

    def __new__(cls, *args, **kwargs):
        """Makes a fresh value. Raises: TypeError unless the class is a frozen dataclass itself."""
        made = vars(cls).get("__dataclass_params__")
        if made is None or not (made.frozen and made.eq):
            raise TypeError(
                f"{cls.__name__} is no frozen dataclass itself, so that values of it with other fields would "
                f"compare equal: write @dataclasses.dataclass(frozen=True) above class {cls.__name__}."
            )
        return super().__new__(cls)
