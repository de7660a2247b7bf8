"""An A larger than memory may hold, or spread over a cluster: the same as in memory."""

import os

import numpy as np
import pytest
import scipy.sparse as sp
from scipy.sparse.linalg import aslinearoperator

import fastdln as fd
from fastdln import _matrix_free_gram, _operator, _threads, _working_set
from fastdln import _piece_work as work
from fastdln._doubt import largest_doubt
from fastdln._mapped import MappedFile
from fastdln._operator import Blocks
from fastdln.results import Status


def as_file(folder, A, mode="r", **options):
    path = folder / "A.dat"
    A.tofile(path)
    return np.memmap(path, dtype=A.dtype, mode=mode, shape=A.shape, **options)


@pytest.fixture
def planted():
    generator = np.random.default_rng(3)
    A, x = generator.standard_normal((12, 3000)), np.zeros(3000)
    x[generator.choice(3000, 4, replace=False)] = generator.standard_normal(4)
    return A, A @ x


def test_a_mapped_file_is_read_as_what_the_mapping_shows(tmp_path):
    A = np.arange(60.0).reshape(5, 12)
    given = as_file(tmp_path, A)
    for view in (given, given[1:4], given[:, 3:9], given[::2]):
        file = MappedFile.of(view)
        assert file is not None
        assert file.block(2, 5).tobytes() == np.array(view[:, 2:5]).tobytes()
        index = np.array([4, 0, 4])
        np.testing.assert_array_equal(file.columns(index), view[:, index])
    (tmp_path / "A.dat").unlink()
    (tmp_path / "A.dat").write_bytes(bytes(480))  # another file of that name
    assert MappedFile.of(given) is None
    assert MappedFile.of(given[:, ::2]) is None
    assert MappedFile.of(A) is None


def test_a_file_that_became_shorter_is_an_error(tmp_path):
    given = as_file(tmp_path, np.ones((4, 1 << 12)))
    file = MappedFile.of(given)
    os.truncate(tmp_path / "A.dat", 4096)
    with pytest.raises(OSError, match="the file of A has become shorter"):
        file.block(0, 1 << 12)


def forms(folder, A):
    yield as_file(folder, A)
    yield sp.csc_array(A)
    yield aslinearoperator(A)


@pytest.mark.parametrize("p", [2.0, 3.0])
def test_minimizer_from_some_columns(tmp_path, planted, p, monkeypatch):
    monkeypatch.setattr("fastdln._operator._BLOCK_BYTES", 1 << 16)
    A, y = planted
    exact = fd.l1_minimizer(fd.Problem(A, y), p)
    for given in forms(tmp_path, A):
        found = fd.l1_minimizer(fd.Problem(given, y, memory_budget=0), p)
        assert found.status is exact.status is Status.PROVED
        np.testing.assert_allclose(found.psi, exact.psi, rtol=1e-12, atol=1e-15)
        assert found.unique
        assert found.margin > 0.0
        np.testing.assert_array_equal(found.support, np.flatnonzero(found.psi))


def test_a_face_of_minimisers_from_some_columns():
    line = fd.datasets.line()
    A = np.hstack((line.A, 1e-3 * np.random.default_rng(0).standard_normal((2, 500))))
    found = fd.l1_minimizer(fd.Problem(sp.csr_array(A), line.y, memory_budget=0), 2)
    assert (found.face_dimension, found.status) == (1, Status.PROVED)
    np.testing.assert_allclose(found.psi[:3], fd.l1_minimizer(line, 2).psi, rtol=1e-12)
    zero = fd.l1_minimizer(fd.Problem(sp.csr_array(A), [0.0, 0.0], memory_budget=0), 2)
    assert zero.l1_norm == 0.0


def test_dependent_rows_leave_the_minimizer_undecided():
    A = sp.csr_array(np.array([[1.0, 2.0, 3.0], [2.0, 4.0, 6.0]]))
    found = fd.l1_minimizer(fd.Problem(A, [1.0, 2.0], memory_budget=0), 2)
    assert found.status is Status.UNDECIDED
    assert np.all(np.isnan(found.psi))


@pytest.mark.parametrize("p", [2.0, 3.0])
def test_plain_descent_reads_pieces(tmp_path, planted, p, monkeypatch):
    monkeypatch.setattr("fastdln._operator._BLOCK_BYTES", 1 << 16)
    A, y = planted
    asked = {"alpha": 0.1, "step_size": 1e-4, "n_steps": 300}
    exact = fd.gradient_descent(fd.Problem(A, y), p, **asked, method="plain")
    for given in forms(tmp_path, A):
        problem = fd.Problem(given, y, memory_budget=0)
        path = fd.gradient_descent(problem, p, **asked)
        assert (path.method, path.status) == ("plain", Status.ALL_STEPS)
        for name in ("psi", "u", "v", "loss"):
            np.testing.assert_allclose(
                getattr(path, name), getattr(exact, name), rtol=1e-12, atol=1e-15
            )
        half = fd.gradient_descent(problem, p, **{**asked, "n_steps": 150})
        rest = fd.gradient_descent(problem, p, **asked, start=half)
        assert rest.psi[-1].tobytes() == path.psi[-1].tobytes()


def test_descent_by_products_ends_as_descent_does():
    A = sp.csr_array(np.eye(2, 4))
    problem = fd.Problem(A, [1.0, 1.0], memory_budget=0)
    lost = fd.gradient_descent(problem, 3, alpha=1.0, step_size=10.0, n_steps=100)
    assert lost.status is Status.DIVERGED
    still = fd.gradient_descent(fd.Problem(A, [0.0, 0.0], memory_budget=0), 2, 1.0, 0.1, 100)
    assert still.status is Status.STALLED


def test_what_is_not_to_be_had_from_products_is_said_in_a_line(planted):
    A, y = planted
    problem = fd.Problem(sp.csr_array(A), y, memory_budget=0)
    for options in ({"method": "leap"}, {"batch_size": 2, "rng": 0}):
        with pytest.raises(ValueError, match=r"needs method 'plain' .*: raise memory_budget"):
            fd.gradient_descent(problem, 2, 0.1, 1e-3, 10, **options)
    with pytest.raises(ValueError, match="needs method 'plain' and one configuration"):
        fd.gradient_descent(problem, 2, [0.1, 0.2], 1e-3, 10)
    with pytest.raises(ValueError, match=r"memory_budget = 0 .* l1_minimizer, gradient_flow and"):
        fd.convergence_rate(problem, 2)


@pytest.mark.parametrize("p", [2.0, 3.0])
def test_flow_reads_pieces(tmp_path, planted, p, monkeypatch):
    monkeypatch.setattr("fastdln._operator._BLOCK_BYTES", 1 << 16)
    A, y = planted
    A, t = A[:, :600].copy(), [0.0, 1e-4, 1e-3, 1e-2, 1.0, np.inf]
    exact = fd.gradient_flow(fd.Problem(A, y), p, 0.1, t, rtol=1e-12)
    for given in (as_file(tmp_path, A), sp.csc_array(A)):
        problem = fd.Problem(given, y, memory_budget=0)
        path = fd.gradient_flow(problem, p, 0.1, t, rtol=1e-6)
        assert path.status is exact.status is Status.INTEGRATED
        assert path.t.tolist() == t
        error = np.abs(path.psi - exact.psi) / (np.abs(exact.psi) + 0.1**p)
        assert np.max(error) < 1e-6
        for name in ("u", "v"):
            np.testing.assert_allclose(getattr(path, name), getattr(exact, name), rtol=1e-6)
        np.testing.assert_allclose(path.loss[:4], exact.loss[:4], rtol=1e-5)
        np.testing.assert_allclose(path.dual[1:], exact.dual[1:], rtol=1e-4)
        assert path.stats.steps > 5
    middle = path.sol([1e-3, 3e-4])
    assert middle.shape == (2, 600)
    np.testing.assert_allclose(middle[0], path.sol(1e-3), rtol=1e-5, atol=1e-6 * 0.1**p)
    np.testing.assert_allclose(middle[0], path.psi[2], rtol=1e-5, atol=1e-6 * 0.1**p)


def test_a_flow_in_pieces_that_is_refused_or_cut_short(planted):
    A, y = planted
    problem = fd.Problem(sp.csr_array(A), y, memory_budget=0)
    for options in (
        {"t": None}, {"method": "dop853"}, {"form": "weights"}, {"events": [fd.Activation(0.5)]}
    ):  # fmt: skip
        given = {"t": [1.0], **options}
        with pytest.raises(ValueError, match=f"got another {next(iter(options))}: raise memory"):
            fd.gradient_flow(problem, 2, 0.1, **given)
    with pytest.raises(ValueError, match="alpha is too small, or rtol"):
        fd.gradient_flow(problem, 3, 1e-12, t=[1.0])
    products = fd.Problem(aslinearoperator(A), y, memory_budget=0)
    with pytest.raises(
        ValueError, match=r"needs an A that gives its columns, .* got products alone"
    ):
        fd.gradient_flow(products, 2, 0.1, t=[1.0])
    short = fd.gradient_flow(problem, 2, 0.1, t=[1e-5, 1.0], max_steps=4)
    assert short.status is Status.STEP_LIMIT
    still = fd.gradient_flow(
        fd.Problem(sp.csr_array(A), 0.0 * y, memory_budget=0), 2, 0.1, t=[0.0, 1.0, np.inf]
    )
    assert still.psi.shape == (3, 3000)
    assert not still.psi.any()


@pytest.fixture(scope="module")
def clusters():
    distributed = pytest.importorskip("distributed")
    options = {"threads_per_worker": 1, "dashboard_address": None, "silence_logs": 50}

    def start(count):
        cluster = distributed.LocalCluster(n_workers=count, **options)
        return cluster, distributed.Client(cluster)

    return start


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::ResourceWarning", "ignore::UserWarning")
@pytest.mark.filterwarnings("ignore::pytest.PytestUnraisableExceptionWarning")
def test_blocks_with_the_workers_of_a_cluster(clusters, planted):
    """Two workers, and one: the bits are the same, and the numbers those of an array."""
    dask_array = pytest.importorskip("dask.array")
    A, y = planted
    array = fd.Problem(A, y)
    steps = {"alpha": 0.1, "step_size": 1e-4, "n_steps": 20}
    seen = []
    for count in (2, 1):
        cluster, client = clusters(count)
        with cluster, client:
            given = dask_array.from_array(A, chunks=(5, 700)).persist()
            problem = fd.Problem(given, y, memory_budget=0)
            assert type(problem._matrix).__name__ == "Spread"
            for p in (2, 3):
                limit = fd.flow_limit(problem, p, [1e-1, 1e-3])
                exact = fd.flow_limit(array, p, [1e-1, 1e-3])
                assert all(status is Status.CONVERGED for status in limit.status)
                np.testing.assert_allclose(limit.psi, exact.psi, rtol=1e-12)
                seen.append((count, limit.psi.tobytes(), limit.slack.tobytes()))
            best = fd.l1_minimizer(problem, 2)
            np.testing.assert_allclose(
                best.psi, fd.l1_minimizer(array, 2).psi, rtol=1e-12, atol=1e-15
            )
            path = fd.gradient_descent(problem, 2, **steps)
            exact_path = fd.gradient_descent(array, 2, **steps, method="plain")
            np.testing.assert_allclose(path.psi, exact_path.psi, rtol=1e-12)
            flow = fd.gradient_flow(problem, 2, 0.1, t=[1e-3], rtol=1e-6)
            exact_flow = fd.gradient_flow(array, 2, 0.1, t=[1e-3], rtol=1e-12)
            np.testing.assert_allclose(flow.psi, exact_flow.psi, rtol=1e-6, atol=1e-8)
            seen.append((count, best.psi.tobytes(), path.psi.tobytes(), flow.psi.tobytes()))
            assert problem._matrix.dense().tobytes() == A.tobytes()
            bad = A.copy()
            bad[3, 1500] = np.nan
            broken = dask_array.from_array(bad, chunks=(5, 700))
            with pytest.raises(ValueError, match=r"A must be finite, got nan at index \[3, 1500\]"):
                fd.Problem(broken, y, memory_budget=0)
    assert [one[1:] for one in seen[:3]] == [one[1:] for one in seen[3:]]


@pytest.mark.parametrize("hidden", ["nothing", "columns", "pieces"])
@pytest.mark.parametrize("held", [0, 1 << 21])
@pytest.mark.parametrize("p", [2, 3])
def test_samples_of_the_columns_lead_to_the_same_limit(p, held, hidden, tmp_path, monkeypatch):
    """Also where the sample has nothing of what matters; the same bits on any number of threads."""
    monkeypatch.setattr(_operator, "_BLOCK_BYTES", 1 << 18)
    monkeypatch.setattr(_working_set, "_SAMPLE", 32)
    monkeypatch.setattr(_working_set, "_THIN", 64)
    monkeypatch.setattr(_working_set, "_HELD_BYTES", held)
    m, N = 64, 1 << 14
    generator = np.random.default_rng(5)
    A = generator.standard_normal((m, N))
    if hidden == "columns":
        A[:, ::8] *= 1e-3
    elif hidden == "pieces":
        A[:, np.arange(N) // 512 % 4 == 0] *= 1e-3
    y = A[:, 515:524] @ generator.standard_normal(9)
    dense = fd.flow_limit(fd.Problem(A, y), p, 1e-3)
    problem, wanted = fd.Problem(as_file(tmp_path, A), y, memory_budget=0), []
    assert _working_set.sampling(problem._matrix) == 8
    read = _matrix_free_gram._Reducer.read
    monkeypatch.setattr(
        _matrix_free_gram._Reducer, "read", lambda *given: wanted.append(given[1]) or read(*given)
    )
    limit = fd.flow_limit(problem, p, 1e-3)
    assert limit.status is dense.status is Status.CONVERGED
    assert wanted[0].every == (0 if held else 8)
    assert (wanted[0].held.size > 0) is (held > 0)
    assert held or 1 in {one.every for one in wanted}
    assert wanted[-1].fine
    np.testing.assert_allclose(limit.dual, dense.dual, rtol=0, atol=1e-12 * np.max(abs(dense.dual)))
    assert np.all(abs(limit.psi - dense.psi) <= 1e-12 * np.max(abs(dense.psi)))
    difference = abs(limit.psi - dense.psi) / abs(dense.psi)
    assert np.max(difference) <= limit.error_bound + dense.error_bound
    monkeypatch.setattr(_threads, "thread_count", lambda: 1)
    alone = fd.flow_limit(problem, p, 1e-3)
    assert alone.psi.tobytes() == limit.psi.tobytes()


def test_rows_that_only_some_pieces_have(tmp_path, monkeypatch):
    """The first look at A is at one piece in several: here these are singular."""
    monkeypatch.setattr(_operator, "_BLOCK_BYTES", 1 << 18)
    monkeypatch.setattr(_working_set, "_SAMPLE", 32)
    m, N = 64, 1 << 14
    A = np.random.default_rng(6).standard_normal((m, N))
    width = (1 << 18) // (8 * m)
    A[0, np.arange(N) // width % 4 == 0] = 0.0
    problem = fd.Problem(as_file(tmp_path, A), np.ones(m), memory_budget=0)
    limit, dense = (fd.flow_limit(one, 3, 1e-2) for one in (problem, fd.Problem(A, np.ones(m))))
    assert limit.status is Status.CONVERGED
    assert np.max(abs(limit.psi - dense.psi)) <= 1e-12 * np.max(abs(dense.psi))


def flat(A, D):
    """Columns of the same length and weight: lengths alone cannot tell which is first."""
    return A / np.linalg.norm(A, axis=0), np.ones_like(D)


@pytest.mark.parametrize(
    ("change", "passes"),
    [
        (lambda A, D: (A, D), 0),
        (flat, 1),
        (lambda A, D: (A * 1e-170, D), 1),  # squares underflow
        (lambda A, D: (np.where(np.arange(3000) < 40, 0.0, A), D), 0),
    ],
)
def test_the_largest_doubt_from_few_columns(change, passes, monkeypatch):
    generator = np.random.default_rng(11)
    A, D = change(generator.standard_normal((12, 3000)), generator.exponential(size=3000) ** 4)
    matrix = Blocks(A)
    monkeypatch.setattr(matrix, "_bytes", 8 * 12 * 512)
    parts, columns = matrix.parts(), np.sort(generator.choice(3000, 12, replace=False))
    done = []

    def fill(piece, part):
        part.D[:], part.psi[:] = D[part.lo : part.hi], generator.standard_normal(part.hi - part.lo)
        part.psi[:3] = 0.0 if part.lo == 1024 and not passes else part.psi[:3]
        part.lengths(piece)

    def worst(*given):
        done.append(0)
        return _worst(*given)

    _worst = work.worst
    monkeypatch.setattr(work, "worst", worst)
    list(parts.each(fill))
    doubt = generator.exponential(size=12)
    found = largest_doubt(matrix, parts, doubt, columns)
    assert len(done) == passes * len(matrix.cuts())
    everywhere = np.max(list(parts.each(_worst, doubt, columns)), axis=0)
    np.testing.assert_allclose(found, everywhere, rtol=1e-14)
