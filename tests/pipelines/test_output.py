"""Outputs in object stores: what is tried first, and runs that are kept until they have arrived."""

import re

import pytest
from rich.console import Console

from hopline import artifacts
from hopline.runtime.errors import InternalError, UserError
from hopline.runtime.process import write_failure
from hopline.store import objects
from hopline.store.objects import Store
from pipelines.output import Output, open_output

QUIET = Console(quiet=True)


@pytest.fixture(autouse=True)
def caches(tmp_path, monkeypatch):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "caches"))
    return tmp_path / "caches" / "hopline"


def make_run(output, name):
    run = output.folder / "runs" / name
    (run / "model").mkdir(parents=True)
    (run / "model" / "weights").write_text(f"weights of {name}")
    artifacts.seal(run / "model", "model", parents={}, config={})
    (run / "log.txt").write_text("log")
    return run


def test_a_local_output_is_its_own_folder(tmp_path):
    output = open_output(str(tmp_path / "out"))
    output.prepare(QUIET)
    make_run(output, "a")
    output.deliver()
    assert output.folder == tmp_path / "out"
    assert output.registry == str(tmp_path / "out" / "registry")
    assert (tmp_path / "out" / "runs" / "a" / "log.txt").exists()


def test_outputs_in_stores_have_folders_with_readable_names_of_their_own(caches):
    folders = [open_output(f"{place}/my models").folder for place in ("gs://bucket", "s3://bucket", "s3://bucket2")]
    assert len(set(folders)) == 3
    assert re.fullmatch("gs-bucket-my-models-[0-9a-f]{8}", folders[0].name)
    assert {folder.parent for folder in folders} == {caches}
    assert open_output("gs://bucket/my models/").folder == folders[0]


@pytest.mark.parametrize("place", ["", "http://host/out", "gs:/bucket"])
def test_an_output_that_is_neither_folder_nor_store_is_refused(place):
    with pytest.raises(UserError, match="neither a path nor the URI"):
        open_output(place)


def test_a_store_is_tried_and_left_as_it_was(remote_place):
    output = open_output(remote_place)
    output.prepare(QUIET)
    assert output.folder.is_dir()
    assert Store(remote_place).entries() == []


def test_a_bucket_that_does_not_exist_is_refused(remote_place):
    with pytest.raises(UserError, match="no-such-bucket does not exist"):
        open_output(f"{remote_place[:5]}no-such-bucket/out").prepare(QUIET)


def test_finished_runs_go_to_the_store_and_failed_ones_stay(remote_place):
    output = open_output(remote_place)
    finished, failed = make_run(output, "1"), make_run(output, "2")
    write_failure(failed / "failure.json", "run", UserError("no", remedy="none"))
    (output.folder / "runs" / ".3.01234567.partial").mkdir()  # of a run that was killed
    output.deliver()
    names = {entry.name for entry in Store(remote_place).entries()}
    assert names == {"runs/1/log.txt", "runs/1/model/weights", "runs/1/model/manifest.json"}
    assert output.run_place("1") == f"{remote_place}/runs/1"
    assert not finished.exists()
    assert failed.exists()


@pytest.mark.parametrize("mortal", ["gs"], indirect=True)  # the other server forgets what it held
def test_a_run_that_could_not_be_sent_is_kept_and_sent_later(mortal, monkeypatch):
    monkeypatch.setattr(objects, "PATIENCE_SECONDS", 0.5)
    output = open_output("gs://bucket/prefix")
    run = make_run(output, "1")
    mortal.kill()
    with pytest.raises(InternalError, match="run 1 is finished, but could not be sent") as caught:
        output.deliver()
    assert str(run) in caught.value.remedy
    mortal.start()
    output.deliver()
    assert not run.exists()
    assert Store("gs://bucket/prefix").read("runs/1/log.txt")[0] == b"log"


def test_an_interrupt_while_a_run_is_sent_keeps_it(remote_place, monkeypatch):
    output = open_output(remote_place)
    run = make_run(output, "1")

    def interrupt(*arguments, **options):
        raise KeyboardInterrupt

    with monkeypatch.context() as patched:
        patched.setattr(Store, "upload_file", interrupt)
        with pytest.raises(Exception, match="SIGINT") as caught:
            output.deliver()
    assert caught.value.code == 130
    assert run.exists()
    assert isinstance(output, Output)
