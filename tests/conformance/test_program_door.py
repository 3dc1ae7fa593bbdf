"""A backend cannot hold the judge up, end it, reach it, or say what is not so, whatever it does in its process."""

import json
import os
import shlex
import signal
import sys
import time
from pathlib import Path

import numpy as np
import pytest
from safetensors.numpy import save_file

from elt_ref.conformance.answers import LEAST_ROOM, read_answer, tensors_of
from elt_ref.conformance.backend import Description
from elt_ref.conformance.case import read_vectors
from elt_ref.conformance.doors import DEATHS, FilesDoor, ProcessDoor, PythonDoor, export, open_backend
from elt_ref.conformance.failures import first_line
from elt_ref.conformance.judge import judge
from elt_ref.conformance.pytest_suite import pytest_suite
from elt_ref.errors import RequestError
from elt_ref.literal import visible

FEW = [vector for vector in read_vectors() if vector.stored.clause in {"GUIDE-01", "DISTIL-06"}]
GUIDE = next(vector for vector in FEW if vector.id == "GUIDE-01/three")

HEAD = """
import ctypes, os, subprocess, sys, threading, time
import numpy as np
from elt_ref.conformance.backend import Description

class Backend:
    def describe(self):
        return Description("mine", "1", ("guide", "truth_weights"))

    def truth_weights(self, *, steps):
        return {"weights": 1 - np.arange(steps) / max(1, steps - 1)}

    def guide(self, *, conditional, unconditional, scale):
"""
RIGHT = '        return {"guided": unconditional + scale * (conditional - unconditional)}\n'


@pytest.fixture
def backend(tmp_path, monkeypatch):
    """Return ``backend(*lines) -> name``: a backend whose `guide` begins with these lines."""
    monkeypatch.chdir(tmp_path)

    def write(*lines):
        body = "".join(f"        {line}\n" for line in lines)
        Path("mine.py").write_text(HEAD + body + RIGHT, encoding="utf-8")
        return "mine.py:Backend"

    return write


def verdict(name, timeout=30.0, only="GUIDE-01"):
    door = open_backend(name, timeout)
    found = {each.clause.id: each for each in judge(door, FEW, only="GUIDE-01,DISTIL-06").verdicts}
    return found[only]


def test_a_right_backend_passes_whatever_it_prints_and_reads(backend):
    name = backend("print('{}')", "os.write(1, b'{}')", "assert not sys.stdin.read()", "input = sys.stdin")
    door = open_backend(name)
    report = judge(door, FEW, only="GUIDE-01,DISTIL-06")
    door.close()
    assert [each.status for each in report.verdicts] == ["PASS", "PASS"]
    assert report.isolated


@pytest.mark.few(5)
@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("os._exit(0)", "the program died (exit code 0) without answering"),
        ("os.kill(os.getpid(), 9)", "the program died (exit code -9) without answering"),
        ("os.closerange(0, 64)", "the program died (exit code"),
        ("sys.exit(0)", "SystemExit: 0 (mine.py:14)"),
        ("raise GeneratorExit('gone')", "GeneratorExit: gone (mine.py:14)"),
        ("raise KeyboardInterrupt('typed')", "KeyboardInterrupt: typed (mine.py:14)"),
        ("raise BaseException('base')", "BaseException: base (mine.py:14)"),
        ("raise ValueError('\\x1b[2Jgone')", r"ValueError: \x1b[2Jgone (mine.py:14)"),
        ("raise ValueError('\\ud800')", "ValueError: \\ud800"),
        ("time.strptime('noon', '%H')", "does not match format '%H' (mine.py:14)"),
        ("conditional[...] = 0", "expected the arguments to be left alone, got another 'conditional'"),
        ("return {'guided': conditional.astype(complex)}", "real numbers, integers or booleans, got complex128"),
        ("return {'guided': np.array([object()])}", "real numbers, integers or booleans, got object"),
        ("return {'guided': conditional.tolist()}", "expected 'guided' to be an array, got list"),
    ],
)
def test_what_a_backend_does_to_itself_is_an_error_in_one_sentence(backend, line, expected):
    found = verdict(backend(line))
    assert found.status == "ERROR"
    assert expected in found.message
    assert found.message.isprintable()


def test_other_operations_are_judged_after_a_death(backend):
    assert verdict(backend("os._exit(0)"), only="DISTIL-06").status == "PASS"


def test_a_program_that_dies_again_and_again_is_not_started_for_ever(backend):
    name = backend("open('deaths', 'a').write('x')", "os._exit(0)")
    report = judge(open_backend(name), FEW, only="GUIDE-01")
    assert len(Path("deaths").read_text()) == DEATHS < len(report.verdicts[0].findings)
    assert "guide is not asked again: the program died" in report.verdicts[0].findings[-1].message


@pytest.mark.parametrize(
    ("lines", "expected"),
    [
        (["time.sleep(60)"], "TimeoutError: no answer within 1 s"),
        (["while True:", "    try: time.sleep(60)", "    except BaseException: pass"], "no answer within 1 s"),
        (["os.closerange(3, 64)", "time.sleep(60)"], "closed its stdout and goes on"),
        (["subprocess.Popen(['sleep', '60'])", "os._exit(0)"], "died (exit code 0)"),
    ],
    ids=["sleeps", "ignores", "closes", "leaves a child"],
)
def test_a_backend_that_hangs_is_an_error_in_time_and_once(backend, lines, expected):
    name = backend(*lines)
    door = open_backend(name, timeout=1.0)
    started = time.monotonic()
    report = judge(door, FEW, only="GUIDE-01")
    assert time.monotonic() - started < 15, "each question has waited"
    assert report.verdicts[0].status == "ERROR"
    assert expected in report.verdicts[0].message


def test_a_child_that_keeps_the_pipe_open_ends_with_its_program(tmp_path):
    program = tmp_path / "program.py"
    program.write_text(
        "import os, subprocess, sys\n"
        f"child = subprocess.Popen(['sleep', '600'])\n"
        f"open({str(tmp_path / 'child')!r}, 'w').write(str(child.pid))\n"
        "sys.stdin.readline()\nos._exit(4)\n"
    )
    started = time.monotonic()
    with pytest.raises(RequestError, match=r"the program died \(exit code 4\) without answering"):
        ProcessDoor(shlex.join([sys.executable, str(program)])).describe()
    assert time.monotonic() - started < 20
    child = int((tmp_path / "child").read_text())
    for _ in range(100):  # a killed orphan stays until its new parent has looked
        try:
            state = Path(f"/proc/{child}/stat").read_text().split()[2] if Path("/proc").exists() else "Z"
            os.kill(child, 0)
        except OSError:
            return
        if state == "Z":
            return
        time.sleep(0.05)
    os.kill(child, signal.SIGKILL)
    raise AssertionError("the child goes on")


@pytest.mark.parametrize(
    ("said", "expected"),
    [
        (r"b'\xff\xfe\n'", "expected a line in UTF-8"),
        (r"b'x' * 3_000_000", "expected lines of at most 1048576 bytes"),
        (r"b'\n' * 100_000", "described: "),
        (r"""b'{"type": "refused", "message": "no \\u001b weights"}\n'""", r"--exec: no \x1b weights"),
        (r"""b'{"type": "description", "name": "\\ud800"}\n'""", "described: "),
        ("b''", "died (exit code 0)"),
    ],
)
def test_a_line_that_is_none_is_refused_in_a_sentence(said, expected):
    program = f"import os, sys; sys.stdin.readline(); sys.stdout.buffer.write({said}); sys.stdout.flush()"
    with pytest.raises(RequestError) as error:
        ProcessDoor([sys.executable, "-c", program]).describe()
    assert expected in str(error.value)
    assert str(error.value).isprintable()


def test_a_command_with_an_open_quote_is_refused():
    with pytest.raises(RequestError, match=r"--exec: expected a command with all quotes closed, got 'x \(no closing"):
        ProcessDoor("'x")


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        ("raise ZeroDivisionError('no')", "describe: expected a description, got ZeroDivisionError: no (odd.py:3)"),
        ("raise GeneratorExit", "describe: expected a description, got GeneratorExit: no words"),
        ("return None", "describe: expected name, version, operations, dtypes and choices, got NoneType"),
        ("import os; os._exit(0)", "expected a description, got the program died (exit code 0)"),
    ],
)
def test_a_description_that_is_none_is_refused(tmp_path, monkeypatch, body, expected):
    monkeypatch.chdir(tmp_path)
    Path("odd.py").write_text(f"class Backend:\n    def describe(self):\n        {body}\n")
    with pytest.raises(RequestError) as error:
        open_backend("odd.py:Backend")
    assert str(error.value).startswith("backend odd.py:Backend: ")
    assert expected in str(error.value)


def test_an_object_that_cannot_describe_itself_is_refused():
    class Odd:
        def describe(self):
            raise GeneratorExit("gone")

    with pytest.raises(RequestError, match="describe: expected a description, got GeneratorExit: gone"):
        judge(PythonDoor(Odd()), FEW)


def test_the_settings_of_a_question_may_not_be_changed():
    class Changes:
        def describe(self):
            return Description("changes", "1", ("guide",))

        def guide(self, *, conditional, unconditional, scale):
            return {"guided": conditional}

    door = PythonDoor(Changes())
    for changed in ({"a": [1.0, 2.0]}, {"a": 2.0}, {}):
        door.backend.guide = lambda *, section, changed=changed: (section.clear(), section.update(changed), {})[-1]
        with pytest.raises(ValueError, match="got another 'section"):
            door.call(GUIDE, "float64", {"section": {"a": [1.0]}})


def test_no_answer_is_in_the_process_of_a_backend(backend):
    """What the backend can reach from its modules, its stack and its collector holds no vector."""
    name = backend(
        "import gc",
        "stack = [value for frame in sys._current_frames().values() for value in frame.f_locals.values()]",
        "assert 'elt_ref.conformance.judge' not in sys.modules and not any('answers' in vars(type(x)) for x in stack)",
        "kinds = {type(thing).__name__ for thing in gc.get_objects()}",
        "assert not kinds & {'Vector', 'Stored', 'PythonDoor', 'Report'}, kinds",
    )
    assert verdict(name).status == "PASS"


@pytest.mark.parametrize(
    ("change", "flag"),
    [
        (np.asfortranarray, "f_contiguous"),
        (lambda array: np.repeat(array, 2, axis=-1)[..., ::2], "c_contiguous is False and not flags.f_contiguous"),
        (lambda array: np.broadcast_to(array, array.shape), "writeable is False"),
        (np.copy, "c_contiguous and flags.writeable"),
    ],
    ids=["Fortran", "strided", "read-only", "C"],
)
def test_an_array_keeps_its_layout(backend, change, flag):
    door = open_backend(backend("flags = conditional.flags", f"assert flags.{flag}, flags"))
    array = np.arange(6.0).reshape(2, 3)
    answer = door.call(GUIDE, "float64", {"conditional": change(array), "unconditional": 0 * array, "scale": 1.0})
    assert np.array_equal(answer["guided"], array)


def test_a_backend_cannot_change_the_judge(backend):
    name = backend(
        "import elt_ref.conformance.judge as judge",
        "judge.difference = judge.mismatch = lambda *_: (0.0, 'guided')",
        "return {'guided': 0 * conditional}",
    )
    assert verdict(name).status == "FAIL"


def fifo(path):
    os.mkfifo(path)


def link(path):
    outside = path.parents[4] / "outside.safetensors"
    save_file({"guided": np.zeros(2)}, outside)
    path.symlink_to(outside)


def circle(path):
    path.symlink_to(path)


def vast(path):
    with path.open("wb") as file:
        file.truncate(LEAST_ROOM * 2**10)


def bfloat16(path):
    header = json.dumps({"guided": {"dtype": "BF16", "shape": [1], "data_offsets": [0, 2]}}).encode()
    path.write_bytes(len(header).to_bytes(8, "little") + header + b"\0\0")


ODD = [
    (fifo, "expected a regular file, got a folder, FIFO or device"),
    (Path.mkdir, ""),
    (link, "expected a file inside the folder, got a link out of it"),
    (circle, ""),
    (vast, "bytes, got more"),
    (bfloat16, "expected 'guided' in a dtype that NumPy has, got BF16"),
]


@pytest.mark.parametrize(("make", "expected"), ODD, ids=lambda value: getattr(value, "__name__", ""))
def test_a_file_that_is_no_answer_is_refused_at_once(tmp_path, make, expected):
    folder = tmp_path / "answers"
    export([GUIDE], folder)
    (folder / "description.json").write_text(
        '{"type": "description", "name": "x", "version": "1", "operations": ["guide"], "dtypes": ["float64"]}'
    )
    path = folder / "float64" / f"{GUIDE.id}.safetensors"
    path.parent.mkdir(parents=True)
    make(path)
    (found,) = judge(FilesDoor(folder), [GUIDE], only="GUIDE-01").verdicts
    assert found.status == "ERROR"
    assert expected in found.message


@pytest.mark.parametrize(
    ("line", "expected"),
    [
        ("os.mkfifo(p)", "outputs: expected a regular file"),
        ("os.symlink('/etc/passwd', p)", "outputs: expected a file inside the folder, got a link out of it"),
        ("os.truncate(os.open(p, os.O_CREAT | os.O_RDWR), 2 ** 40)", "bytes, got more"),
        ("os.mkdir(p)", "outputs"),
    ],
)
def test_an_output_of_a_program_that_is_no_answer_is_refused_at_once(line, expected):
    said = {"type": "description", "name": "x", "version": "1", "operations": ["guide"], "dtypes": ["float64"]}
    program = (
        "import json, os, sys\n"
        "for line in sys.stdin:\n"
        "    m = json.loads(line)\n"
        f"    if m['type'] == 'hello': print({json.dumps(json.dumps(said))}, flush=True); continue\n"
        "    if m['type'] == 'bye': break\n"
        "    p = m['outputs']\n"
        f"    {line}\n"
        "    print(json.dumps({'type': 'reply', 'id': m['id'], 'status': 'ok'}), flush=True)\n"
    )
    door = ProcessDoor([sys.executable, "-c", program])
    (found,) = judge(door, [GUIDE], only="GUIDE-01").verdicts
    door.close()
    assert found.status == "ERROR"
    assert expected in found.message


def test_a_description_that_is_no_text_is_refused(tmp_path):
    path = tmp_path / "description.json"
    path.write_bytes(b"{\xff}")
    with pytest.raises(RequestError, match="expected text in UTF-8"):
        judge(FilesDoor(tmp_path), FEW)
    path.unlink()
    os.mkfifo(path)
    with pytest.raises(RequestError, match="expected a regular file"):
        judge(FilesDoor(tmp_path), FEW)


def test_scalars_and_views_keep_their_shape(tmp_path):
    arrays = {"scalar": np.array(2.0), "view": np.arange(6.0).reshape(2, 3).T}
    path = tmp_path / "arrays.safetensors"
    path.write_bytes(tensors_of(arrays))
    for name, array in read_answer(path, tmp_path, 10_000).items():
        assert array.shape == arrays[name].shape
        assert np.array_equal(array, arrays[name])


def test_control_characters_are_made_visible():
    assert visible("a\x1b\x00\x7f\x9b\u202e\ud800\u2028é漢") == r"a\x1b\x00\x7f\x9b\u202e\ud800\u2028é漢"
    assert first_line(ValueError("x\x1b[0m\ny")) == r"x\x1b[0m"


def test_a_forgotten_program_ends(backend):
    door = open_backend(backend())
    process, folder = door.program.process, door.folder
    del door
    assert process.wait(timeout=10) != 0
    assert not folder.exists()


def test_the_one_line_takes_a_name(backend):
    test = pytest_suite(backend("scale = -scale"))
    test("DISTIL-06")
    with pytest.raises(AssertionError, match="GUIDE-01"):
        test("GUIDE-01")


@pytest.mark.few(1)
@pytest.mark.parametrize("line", ["os._exit(0)", "sys.exit(0)", "threading._shutdown = lambda: os._exit(0); 1 / 0"])
def test_the_command_fails_for_a_backend_that_ends_its_process(backend, command, line):
    result = command("conform", "run", backend(line), "--only", "GUIDE-01", "--json")
    assert result.code == 1
    assert [row["status"] for row in json.loads(result.out)["clauses"]] == ["ERROR"]
