"""`elt-ref bench` for a user: its JSON, its page, and one sentence for each error."""

import json
import shutil
from pathlib import Path

import pytest

import elt_ref
from elt_ref.bench import page
from elt_ref.bench.command import request
from elt_ref.bench.document import Document, LoopPoint, MemoryPoint, Profile, Result
from elt_ref.bench.peers import PEERS, Peer
from elt_ref.bench.plots import width_that_fills
from elt_ref.bench.published import PARTS
from elt_ref.bench.table import summaries
from elt_ref.errors import RequestError

KEYS = {"work", "family", "size", "peer", "ratio_median", "ratio_low", "ratio_high", "share_of_peak", "peak_memory_mb"}
PNG = b"\x89PNG"


def result(**changes):
    row = {"work": "train", "family": "masked", "size": "small", "peer": "torch", "failure": None, "pairs": 5}
    row |= {
        "ratio_median": 0.8,
        "ratio_low": 0.7,
        "ratio_high": 0.9,
        "share_of_peak": 0.5,
        "peak_memory_mb": 100.0,
    }
    row |= {
        "seconds_median": 0.04,
        "peer_seconds_median": 0.05,
        "peer_peak_memory_mb": 300.0,
        "floor": 0.4,
        "numpy_floor": 1.3,
    }
    return Result(**row | changes)


def document(results=(), points=(), profiles=(), memory=()):
    machine = {"processor": "a processor", "cores": 2, "caches": {"L2": 2**20}, "system": "a system", "blas": "a BLAS"}
    machine |= {"python": "3", "versions": {"numpy": "2"}, "kernels": "own"}
    return Document(machine, 1, 100.0, tuple(results), tuple(points), tuple(profiles), tuple(memory))


SHARES = Profile("train", "video", "tiny", {"linear": 0.25, "attention": 0.1, "GELU": 0.0}, {"linear": 1.5})
POINTS = [LoopPoint(width, 1, 17, 1, 12, 2**20, 12 * 2**20, 1.1, 1.0, 1.2, 500.0) for width in (64, 256)]


# --- measured


def test_without_a_peer_times_share_of_peak_and_memory_are_told(command):
    code, out, err = command("bench", "--work", "train", "--family", "masked", "--size", "tiny", "--pairs", 2, "--json")
    assert code == 0, err
    assert not err
    reported = json.loads(out)
    assert set(reported) == {"machine", "threads", "matmul_peak_gflops", "results"}
    (found,) = reported["results"]
    assert set(found) > KEYS
    assert {found[key] for key in ("peer", "ratio_median", "ratio_low", "ratio_high", "failure")} == {None}
    assert (found["work"], found["family"], found["size"], found["pairs"]) == ("train", "masked", "tiny", 2)
    assert 0 < found["share_of_peak"] < 1 < reported["matmul_peak_gflops"]
    assert found["peak_memory_mb"] > 10
    assert found["seconds_median"] > 0


@pytest.mark.whole
def test_another_checkout_is_a_peer_and_runs_its_own_code(command, tmp_path):
    """A copy with a wrong GELU disagrees with us; an unchanged copy gets a ratio."""
    before = tmp_path / "before"
    shutil.copytree(Path(elt_ref.__file__).parent, before / "elt_ref", ignore=shutil.ignore_patterns("vectors"))
    words = (
        "bench",
        "--peer",
        before,
        "--work",
        "train",
        "--family",
        "masked",
        "--size",
        "tiny",
        "--pairs",
        2,
        "--json",
    )
    code, out, err = command(*words)
    assert code == 0, err
    (found,) = json.loads(out)["results"]
    assert found["peer"] == str(before)
    assert found["failure"] is None
    assert 0 < found["ratio_low"] <= found["ratio_median"] <= found["ratio_high"]

    gelu = before / "elt_ref" / "ops" / "gelu.py"
    gelu.write_text(gelu.read_text(encoding="utf-8").replace("CUBIC = 0.044715", "CUBIC = 4.0"), encoding="utf-8")
    code, out, err = command(*words)
    assert code != 0, "a checkout that computes otherwise was timed: the peer ran our code"
    assert "bench, train" in err


# --- what is asked for


@pytest.mark.parametrize(
    ("words", "reported"),
    [
        (
            ["--work", "training"],
            "--work: expected one of train, sample, conform, profile, loop-cache, memory, got",
        ),
        (["--family", "videos"], "--family: expected one of masked, diffusion, video, got 'videos'; did you mean"),
        (["--size", "huge"], "--size: expected one of tiny, small, medium, large, got 'huge'"),
        (
            ["--peer", "pytorch"],
            "--peer: expected one of torch, torch-compile, jax, or a checkout of elt_ref as ./before, got 'pytorch'",
        ),
        (["--part", "one-thread"], "--part: expected --out with it, got none"),
        (["--out", "out", "--part", "one"], "--part: expected one of one-thread, two-threads, avx2-kernels, with"),
        (
            ["--out", "out", "--threads", "2"],
            "--out: expected only --part and --pairs with it",
        ),
        (["--out", "out", "--work", "train"], "--out: expected only --part and --pairs with it"),
        (["--pairs", "0"], "Invalid value for '--pairs'"),
        (["--pairs", "9"], "--pairs: expected an even number, so that no side comes first more often, got 9"),
        (["--threads", "0"], "Invalid value for '--threads'"),
    ],
)
def test_a_wrong_request_is_one_sentence(refused, words, reported):
    assert reported in refused("bench", *words)


def test_a_peer_without_its_port_is_one_sentence(refused, tmp_path):
    reported = refused("bench", "--peer", "torch", "--ports", tmp_path)
    assert reported == f"--ports {tmp_path}: expected a folder with elt_torch.py, got one without"


def test_a_peer_that_is_not_installed_is_one_sentence(refused, tmp_path, monkeypatch):
    monkeypatch.setitem(PEERS, "torch", Peer("torch_of_nobody", "elt_torch.py", "elt_torch.py", ("train",)))
    (tmp_path / "elt_torch.py").touch()
    reported = refused("bench", "--peer", "torch", "--ports", tmp_path)
    assert reported == "--peer torch: expected torch_of_nobody to be installed (the extra 'torch_of_nobody'), got none"


def test_what_is_not_given_has_defaults_and_what_is_repeated_counts_once():
    default = request()
    assert default.works == ("train", "sample", "conform")
    assert default.families == ("masked", "diffusion", "video")
    assert default.sizes == ("small", "medium", "large")
    assert request(sizes=["tiny", "tiny"]).sizes == ("tiny",)


# --- the page


def test_a_page_is_made_filled_and_written_again(tmp_path):
    folder = tmp_path / "out"
    page.prepare(folder)
    path = folder / "benchmarks.md"
    path.write_text(f"Before.\n{path.read_text(encoding='utf-8')}After.\n", encoding="utf-8")
    for work, words in (("train", "elt-ref bench one"), ("sample", "elt-ref bench two")):
        page.prepare(folder)
        page.write(folder, "one-thread", document([result(work=work)]), words)
        page.write(folder, "loop-cache", document(points=POINTS), words)
        text = path.read_text(encoding="utf-8")
        assert text.startswith("Before.\n")
        assert text.endswith("After.\n")
        assert text.count(words) == 2, "in both parts, once"
        assert f"| {work} | masked small | torch | 40 | 50 | 0.80 (0.70–0.90) | 0.40 | 1.30 | 50% | 100 |" in text
        assert text.count("| masked | medium | 2 × 4 | 128 |") == 1, "the networks are listed once"
    assert "bench one" not in text
    for name in ("bench-one-thread.png", "bench-loop-cache.png"):
        assert (folder / "pictures" / name).read_bytes().startswith(PNG)
        assert f"(pictures/{name})" in text


def test_memory_is_told_with_its_changes(tmp_path):
    page.prepare(tmp_path)
    point = MemoryPoint("video", "large", 200_000_000, 150_000_000, 210_400_000)
    page.write(tmp_path, "memory", document(memory=[point]), "words")
    text = (tmp_path / "benchmarks.md").read_text(encoding="utf-8")
    assert "| video large | 200 | 150 | −25% | 210 | +5% |" in text


def test_a_part_that_was_not_measured_stays(tmp_path):
    page.prepare(tmp_path)
    for part in ("one-thread", "two-threads"):
        page.write(tmp_path, part, document([result()]), part.upper())
    text = (tmp_path / "benchmarks.md").read_text(encoding="utf-8")
    assert text.index("ONE-THREAD") < text.index("<!-- two-threads -->") < text.index("TWO-THREADS")


def test_without_ratios_no_picture_is_drawn(tmp_path):
    page.prepare(tmp_path)
    alone = result(peer=None, ratio_median=None, ratio_low=None, ratio_high=None)
    page.write(tmp_path, "one-thread", document([alone], profiles=[SHARES]), "words")
    assert not list((tmp_path / "pictures").iterdir())
    text = (tmp_path / "benchmarks.md").read_text(encoding="utf-8")
    assert "| train | masked small | – | 40 |" in text
    assert "| work | network | linear | attention |" in text
    assert "| train | video tiny | 25% (1.50) | 10% | 0% |" in text


def test_every_part_is_written_as_soon_as_it_is_measured(command, tmp_path, monkeypatch):
    requests = {"profile": "elt-ref bench --out docs --part profile --pairs 2", "two-threads": "a peer failed"}
    monkeypatch.setattr("elt_ref.bench.command.PARTS", dict.fromkeys(requests, ({"sizes": ("tiny",)},)))

    def measured(asked):
        if (tmp_path / "benchmarks.md").read_text(encoding="utf-8").count("elt-ref bench"):
            raise RequestError("a peer failed")
        assert [(each.sizes, each.pairs) for each in asked] == [(("tiny",), 2)]
        return document(profiles=[SHARES])

    monkeypatch.setattr("elt_ref.bench.command.bench", measured)
    code, out, err = command("bench", "--out", tmp_path, "--pairs", 2)
    assert (code, err) == (2, "elt-ref: a peer failed\n")
    assert "video tiny" in out
    assert requests["profile"] in (tmp_path / "benchmarks.md").read_text(encoding="utf-8"), "what was measured is lost"


def test_what_the_page_tells_can_be_asked_for():
    for part, requests in PARTS.items():
        asked = [request(**{**words, "peers": ()}) for words in requests]
        assert all(peer in PEERS for words in requests for peer in words.get("peers", ()))
        assert len({(each.threads, each.kernels) for each in asked}) == 1, f"{part}: one setting for the whole part"


def test_a_page_without_markers_and_a_folder_that_is_a_file_are_told_before_anything_is_measured(refused, tmp_path):
    path = tmp_path / "benchmarks.md"
    path.write_text("My own page.", encoding="utf-8")
    reported = refused("bench", "--out", tmp_path, "--part", "profile")
    assert reported == f"{path}: expected a line '<!-- networks -->' and '<!-- end -->' after it, got a page without"
    reported = refused("bench", "--out", path, "--part", "profile")
    assert reported.startswith(f"{path / 'pictures'}: expected a folder that can be written to, got ")
    assert path.read_text(encoding="utf-8") == "My own page."


def test_ratios_are_summarised_by_work_and_peer_and_failures_are_told():
    measured = [result(ratio_median=0.5), result(ratio_median=0.5), result(ratio_median=4.0, family="video")]
    measured.append(result(peer="jax", work="sample"))
    failed = result(peer="torch-compile", ratio_median=None, failure="no compiler")
    assert list(summaries([*measured, failed, failed])) == [
        "train against torch: 1.00 times its time (geometric mean of 3), at most 4.00 (video small).",
        "sample against jax: 0.80 times its time.",
        "no compiler",
    ]


def test_a_marker_stands_where_the_kernels_of_a_layer_fill_the_cache():
    width = 64
    kernels = 4 * (3 * width**2 + width**2 + 2 * width * 4 * width)  # attention, output, MLP of 4 d, in float32
    assert width_that_fills(kernels, 1) == width
    assert width_that_fills(12 * kernels, 12) == width


@pytest.mark.whole
def test_a_wrong_port_is_told_once_and_we_are_timed_all_the_same(tmp_path):
    from elt_ref.bench.measure import Request, measure

    (tmp_path / "elt_torch.py").write_text("raise OSError('no compiler')", encoding="utf-8")
    _, (found,) = measure(Request(("sample",), ("masked",), ("tiny",), ("torch",), 1, 1, tmp_path), lambda _: None)
    assert found.failure == "bench, torch, sample: expected a repetition, got OSError: no compiler"
    assert found.peer == "torch"
    assert found.ratio_median is None
    assert found.seconds_median > 0


def test_an_unknown_marker_is_an_error(tmp_path):
    with pytest.raises(RequestError, match="expected a line '<!-- nothing -->'"):
        page.between("<!-- networks -->\n<!-- end -->", "nothing", "", tmp_path)
