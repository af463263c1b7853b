"""What every test shares: the real corpora, caches of kernels and of bytecode, Hypothesis without a clock,
writes that wait for no disk, the order of the tests, and a process in the same state before each.

Hypothesis draws the same examples in every run of the suite. With CORPUSMILL_HYPOTHESIS=random in the
environment it searches on from where chance takes it: for a long search by hand.
"""

from __future__ import annotations

import os
from collections.abc import Generator, Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest
from hypothesis import settings

from corpusmill.pipelines.system.kernel_cache import use_kernel_cache
from tests import bytecode, heap, kernels_ahead, order, process_state, writes
from tests.warm import READY_TO_TRAIN, Warm

bytecode.keep()
use_kernel_cache()
settings.register_profile("corpusmill", deadline=None, derandomize=True)
settings.register_profile("random", deadline=None)
settings.load_profile("random" if os.environ.get("CORPUSMILL_HYPOTHESIS") == "random" else "corpusmill")


def pytest_addoption(parser: pytest.Parser) -> None:
    order.add_options(parser)


@pytest.hookimpl(trylast=True)  # after pytest's own order, which groups tests by fixture
def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    order.reorder(config, items)


@pytest.hookimpl(wrapper=True)
def pytest_collection() -> Generator[None, object, object]:
    with bytecode.compiled_once():
        return (yield)


@pytest.hookimpl(trylast=True)
def pytest_collection_finish() -> None:
    heap.leave_imports_alone()


def pytest_configure(config: pytest.Config) -> None:
    writes.wait_for_no_disk()
    whole = config.args_source is pytest.Config.ArgsSource.TESTPATHS and not config.option.collectonly
    if whole and not hasattr(config, "workerinput"):  # a process of xdist; the first one does it for all
        ahead = ExitStack()
        ahead.enter_context(kernels_ahead.compiling())
        config.add_cleanup(ahead.close)


def pytest_report_header(config: pytest.Config) -> list[str]:
    return order.heading(config)


@pytest.fixture(autouse=True)
def same_process_state() -> Iterator[None]:
    """See `process_state`; a test that leaves something changed fails."""
    process_state.same_start()
    before = process_state.look()
    yield
    left = process_state.put_back(before)
    if left:
        pytest.fail("the test leaves this changed for those after it:\n" + "\n".join(left), pytrace=False)


@pytest.fixture(scope="session")
def data_folder() -> Path:
    """The folder of real corpora; skips where it is absent."""
    folder = Path(os.environ.get("CORPUSMILL_DATA", Path(__file__).resolve().parents[2] / "shared" / "data"))
    if not (folder / "MANIFEST.tsv").exists():
        pytest.skip(f"no corpora in {folder}; set CORPUSMILL_DATA")
    return folder


@pytest.fixture(scope="session")
def warm() -> Iterator[Warm]:
    """Runs the command line to its end, in processes forked from one that has imported everything."""
    process = Warm()
    yield process
    process.close()


@pytest.fixture(scope="session")
def training() -> Iterator[Warm]:
    """As `warm`, of a process that has imported all that training needs: real deaths, without seconds of
    imports for each."""
    process = Warm(READY_TO_TRAIN)
    yield process
    process.close()
