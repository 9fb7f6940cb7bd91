"""`deduplicate`, stopped and started again."""

import signal
import subprocess
import sys
import time

import pytest

from keras_paligemma.data.deduplication import Limits
from keras_paligemma.data.deduplication import job
from tests.data.deduplication.jobs import inputs
from tests.data.deduplication.jobs import outputs
from tests.data.deduplication.jobs import run

pytest.importorskip("faiss")


def test_an_interrupted_job_goes_on_where_it_was(folder, tmp_path, monkeypatch):
    run(folder, tmp_path / "whole.jsonl", chunk_size=4)
    out, done = tmp_path / "clean.jsonl", []

    class Stopped(Exception):
        pass

    def map_some(task, chunks):
        for number, chunk in chunks:
            if len(done) == 3:
                raise Stopped
            task(number, chunk)
            done.append((type(task).__name__, number))
            yield number

    with pytest.raises(Stopped):
        run(folder, out, chunk_size=4, map_tasks=map_some)
    assert not out.exists() and len(done) == 3
    monkeypatch.setattr(job, "_map_here", record_into(done))
    run(folder, out, chunk_size=4)
    # One chunk of protected images and six of data, each done once.
    assert len(done) == len(set(done)) == 7
    assert outputs(out) == outputs(tmp_path / "whole.jsonl")


def record_into(done):
    def map_all(task, chunks):
        for number, chunk in chunks:
            task(number, chunk)
            done.append((type(task).__name__, number))
            yield number

    return map_all


KILLED = """
import sys, time
from keras_paligemma.data.deduplication import deduplicate

def slowly(task, chunks):
    for number, chunk in chunks:
        task(number, chunk)
        yield number
        time.sleep(0.2)

deduplicate(*sys.argv[1:4], chunk_size=2, map_tasks=slowly, progress=False)
"""


def test_a_killed_job_goes_on(folder, tmp_path):
    out = tmp_path / "clean.jsonl"
    words = [*map(str, inputs(folder).values()), str(out)]
    process = subprocess.Popen([sys.executable, "-c", KILLED, *words])
    work = tmp_path / "clean.report" / "work"
    limit = time.monotonic() + 60
    while not list(work.glob("matches-*")) and time.monotonic() < limit:
        time.sleep(0.02)
    process.send_signal(signal.SIGKILL)
    process.wait()
    found = list(work.glob("matches-*.json"))
    assert 1 <= len(found) < 12 and not out.exists()
    run(folder, out, chunk_size=2)
    assert not work.exists()
    run(folder, tmp_path / "whole.jsonl", chunk_size=2)
    assert outputs(out) == outputs(tmp_path / "whole.jsonl")


@pytest.mark.parametrize(
    "change, name",
    [
        ({"limits": Limits(whole=40)}, "limits"),
        ({"chunk_size": 6}, "chunk_size"),
        ({"on_error": "raise"}, "on_error"),
        ({"embed_name": "other"}, "embeddings"),
    ],
)
def test_another_jobs_work_is_not_taken_over(folder, tmp_path, change, name):
    def stop(task, chunks):
        raise KeyboardInterrupt

    out = tmp_path / "clean.jsonl"
    options = {"chunk_size": 4, "on_error": "skip"}
    with pytest.raises(KeyboardInterrupt):
        run(folder, out, **options, map_tasks=stop)
    with pytest.raises(ValueError, match=f"Received: {name}=") as error:
        run(folder, out, **{**options, **change})
    assert str(tmp_path / "clean.report" / "work") in str(error.value)
    assert not out.exists()
