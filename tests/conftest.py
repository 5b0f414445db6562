"""JAX as the tests want it. pytest reads this before any test file, so before any array exists."""

import gc
import os

# A test runs the same on every machine; `JAX_PLATFORMS=cuda scripts/test` asks for another device.
os.environ.setdefault("JAX_PLATFORMS", "cpu")
# Nearly all the time of the tests is XLA's: half of it goes to optimizing programs that run once, a third of
# the rest to its newer way of writing kernels, a quarter of the remainder to parting programs for threads.
# An XLA_FLAGS of one's own, also an empty one, replaces it.
os.environ.setdefault(
    "XLA_FLAGS",
    "--xla_backend_optimization_level=0 --xla_llvm_disable_expensive_passes=true "
    "--xla_backend_extra_options=xla_cpu_disable_new_fusion_emitters "
    "--xla_cpu_parallel_codegen_split_count=1",
)

import jax  # noqa: E402
import pytest  # noqa: E402

jax.config.update("jax_num_cpu_devices", 4)  # shard_map needs devices
jax.config.update("jax_default_matmul_precision", "highest")  # GPUs and TPUs would round otherwise


def pytest_collection_finish():
    """What imports leave behind lives to the end: the collector need not look at it again, nor so often."""
    gc.freeze()
    gc.set_threshold(20_000, 20, 20)


STRICT = ("cells", "time", "compose", "contract", "tasks")


@pytest.fixture(autouse=True)
def strict_promotion(request):
    """No promotion of dtypes or ranks in tests/r3nn/cells/*, tests/r3nn/test_tasks.py and so on, not round
    optax."""
    top, *rest = request.path.relative_to(request.config.rootpath / "tests").parts
    if top == "r3nn" and rest[0].removeprefix("test_").startswith(STRICT):
        with jax.numpy_dtype_promotion("strict"), jax.numpy_rank_promotion("raise"):
            yield
    else:
        yield


@pytest.fixture
def at_the_root(monkeypatch, request):
    """Where scripts/run starts programs."""
    monkeypatch.chdir(request.config.rootpath)


@pytest.fixture
def x64():
    """float64 for one test: finite differences, and oracles."""
    with jax.enable_x64(True):
        yield


@pytest.fixture(autouse=True, scope="module")
def forget_compiled_programs():
    """Compiled programs serve the next test of a file, hardly another file: free their memory."""
    yield
    jax.clear_caches()
