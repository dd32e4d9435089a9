"""Single objects, on real servers: conditional writes, and copies that outlive the server and the process."""

import hashlib
import os
import threading
import time
from concurrent.futures import ThreadPoolExecutor
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest
import requests
import urllib3

from hopline.runtime.errors import InternalError, UserError
from hopline.store import folders, objects
from hopline.store.bucket import ABSENT, CHUNK_BYTES, ConflictError, UnavailableError
from hopline.store.gcs import GoogleBucket
from hopline.store.objects import Store


@pytest.fixture
def store(remote_place):
    return Store(remote_place)


@pytest.fixture
def large(tmp_path):
    """A file of two chunks and a little."""
    path = tmp_path / "large"
    path.write_bytes(os.urandom(2 * CHUNK_BYTES + 5))
    return path


def partial_of(store, name, path):
    """Where a download of the object leaves what it has."""
    digest = hashlib.sha256(store.stat(name).version.encode()).hexdigest()[:8]
    return path.with_name(f".{path.name}.{digest}.partial")


class Killer:
    """A report that kills the server at the first bytes, and starts it again a second later."""

    def __init__(self, server) -> None:
        self.server = server
        self.reports: list[int] = []

    def __call__(self, done: int) -> None:
        self.reports.append(done)
        if len(self.reports) == 1:
            self.server.kill()
            self.restart = threading.Timer(1.0, self.server.start)
            self.restart.start()


def test_a_written_object_reads_back_and_its_absence_is_none(store):
    assert store.read("a") is None
    version = store.write("a", b"content")
    assert store.read("a") == (b"content", version)


def test_create_only_refuses_to_replace(store):
    store.write("a", b"first", expected=ABSENT)
    with pytest.raises(ConflictError):
        store.write("a", b"second", expected=ABSENT)
    assert store.read("a")[0] == b"first"


def test_compare_and_swap_replaces_the_version_that_was_read_and_no_other(store):
    old = store.write("a", b"1")
    store.write("a", b"2", expected=old)
    with pytest.raises(ConflictError):
        store.write("a", b"3", expected=old)
    assert store.read("a")[0] == b"2"


def test_compare_and_swap_refuses_where_there_is_nothing(store):
    version = store.write("a", b"1")
    with pytest.raises(ConflictError):
        store.write("b", b"1", expected=version)


def test_a_write_whose_answer_was_lost_may_be_repeated(store):
    old = store.write("a", b"1")
    new = store.write("a", b"2", expected=old)
    assert store.write("a", b"2", expected=old) == new


def test_of_many_swaps_at_once_one_wins(store):
    old = store.write("a", b"start")

    def swap(number: int) -> bool:
        try:
            store.write("a", str(number).encode(), expected=old)
        except ConflictError:
            return False
        return True

    with ThreadPoolExecutor(16) as pool:
        assert list(pool.map(swap, range(16))).count(True) == 1


def test_entries_are_those_below_the_prefix(store):
    for name in ("b", "a/1", "a/2"):
        store.write(name, b"xyz")
    assert [(entry.name, entry.size) for entry in store.entries()] == [("a/1", 3), ("a/2", 3), ("b", 3)]
    assert [entry.name for entry in store.entries("a/")] == ["a/1", "a/2"]


def test_a_deleted_object_is_gone_and_may_be_deleted_again(store):
    store.write("a", b"")
    store.delete("a")
    store.delete("a")
    assert store.entries() == []


@pytest.mark.parametrize("size", [0, 1, CHUNK_BYTES, CHUNK_BYTES + 1])
def test_a_file_goes_there_and_back(store, tmp_path, size):
    (tmp_path / "file").write_bytes(os.urandom(size))
    store.upload_file(tmp_path / "file", "a")
    store.download_file("a", tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == (tmp_path / "file").read_bytes()
    assert store.stat("a").sha256 == folders.file_digest(tmp_path / "file")
    assert sorted(path.name for path in tmp_path.iterdir() if path.is_file()) == ["again", "file"]


def test_a_download_goes_on_where_a_killed_process_left_it(store, tmp_path, large):
    store.upload_file(large, "a")
    partial_of(store, "a", tmp_path / "again").write_bytes(large.read_bytes()[: CHUNK_BYTES + 3])
    reports: list[int] = []
    store.download_file("a", tmp_path / "again", report=reports.append)
    assert reports == [2 * CHUNK_BYTES + 3, 2 * CHUNK_BYTES + 5]
    assert (tmp_path / "again").read_bytes() == large.read_bytes()


@pytest.mark.parametrize("remains", [b"another beginning", b"x" * 100], ids=["other content", "too long"])
def test_damaged_remains_of_a_download_do_no_harm(store, tmp_path, remains):
    (tmp_path / "file").write_bytes(b"the content of this file")
    store.upload_file(tmp_path / "file", "a")
    partial_of(store, "a", tmp_path / "again").write_bytes(remains)
    store.download_file("a", tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == b"the content of this file"


def test_what_is_left_of_another_version_is_removed_and_that_of_another_file_stays(store, tmp_path):
    store.write("a", b"12345")
    left = partial_of(store, "a", tmp_path / "again")
    left.write_bytes(b"123")
    other = tmp_path / ".again.txt.01234567.partial"
    other.touch()
    store.write("a", b"abcde")  # without a SHA-256 that could tell
    store.download_file("a", tmp_path / "again")
    assert (tmp_path / "again").read_bytes() == b"abcde"
    assert not left.exists()
    assert other.exists()


def test_another_version_than_the_one_asked_for_is_refused(store, tmp_path):
    old = store.write("a", b"1")
    store.write("a", b"2")
    with pytest.raises(InternalError, match="was replaced"):
        store.download_file("a", tmp_path / "again", version=old)


def test_content_that_is_not_what_was_recorded_is_refused(store, tmp_path):
    store.write("a", b"torn")
    with pytest.raises(InternalError, match="differs from its recorded SHA256"):
        store.download_file("a", tmp_path / "again", sha256="0" * 64)
    assert list(tmp_path.glob("*again*")) == []


def test_a_download_of_nothing_names_it(store, tmp_path):
    with pytest.raises(UserError, match="some/prefix/a does not exist"):
        store.download_file("a", tmp_path / "again")


@pytest.mark.parametrize(
    "use",
    [
        lambda store, path: store.read("a"),
        lambda store, path: store.write("a", b"", expected=ABSENT),
        lambda store, path: store.entries(),
        lambda store, path: store.upload_file(path, "a"),
    ],
    ids=["read", "write", "entries", "upload"],
)
def test_a_bucket_that_does_not_exist_is_named(remote_place, large, use):
    missing = Store(f"{remote_place[:5]}no-such-bucket/prefix")
    with pytest.raises(UserError, match=f"the bucket {remote_place[:5]}no-such-bucket does not exist"):
        use(missing, large)


def test_minio_is_another_name_of_s3(bucket):
    place = bucket("s3")
    Store(place).write("a", b"content")
    assert Store(place.replace("s3://", "minio://")).read("a")[0] == b"content"


@pytest.mark.parametrize("uri", ["gs://", "s3:///prefix", "/local/path", "http://bucket/prefix"])
def test_what_is_no_place_in_an_object_store_is_refused(uri):
    with pytest.raises(UserError, match="is no place in an object store"):
        Store(uri)


def test_without_credentials_the_error_says_what_to_set(monkeypatch, tmp_path):
    for name in ("STORAGE_EMULATOR_HOST", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_PROFILE"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("AWS_EC2_METADATA_DISABLED", "true")
    monkeypatch.setenv("GOOGLE_APPLICATION_CREDENTIALS", str(tmp_path / "missing.json"))
    with pytest.raises(UserError) as caught:
        Store("gs://bucket")
    assert "GOOGLE_APPLICATION_CREDENTIALS" in caught.value.remedy
    with pytest.raises(UserError) as caught:
        Store("s3://bucket").read("a")
    assert "AWS_ACCESS_KEY_ID" in caught.value.remedy


@pytest.fixture
def refusing(monkeypatch):
    """Makes a server of any kind that answers every request with one status, and gives the growing list of requests."""
    requests, servers = [], []

    def start(status: int) -> list[str]:
        class Refuse(BaseHTTPRequestHandler):
            def answer(self) -> None:
                requests.append(f"{self.command} {self.path}")
                self.rfile.read(int(self.headers.get("Content-Length", 0)))
                self.send_response(status)
                self.send_header("Content-Length", "0")
                self.end_headers()

            do_GET = do_HEAD = do_PUT = do_POST = do_DELETE = answer  # noqa: N815

            def log_message(self, *arguments: object) -> None:
                pass

        servers.append(server := ThreadingHTTPServer(("127.0.0.1", 0), Refuse))
        threading.Thread(target=server.serve_forever, daemon=True).start()
        for variable in ("STORAGE_EMULATOR_HOST", "AWS_ENDPOINT_URL_S3"):
            monkeypatch.setenv(variable, f"http://127.0.0.1:{server.server_port}")
        for name in ("AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY"):
            monkeypatch.setenv(name, "wrong")
        return requests

    yield start
    for server in servers:
        server.shutdown()
        server.server_close()


@pytest.mark.parametrize("status", [401, 403])
@pytest.mark.parametrize("scheme", ["gs", "s3"])
def test_refused_credentials_are_the_users_error_at_once(refusing, tmp_path, scheme, status):
    requests = refusing(status)
    store = Store(f"{scheme}://bucket/prefix")
    (tmp_path / "file").write_bytes(b"content")
    for use in (
        store.entries,
        lambda: store.stat("a"),
        lambda: store.read("a"),
        lambda: store.write("a", b"", expected=ABSENT),
        lambda: store.upload_file(tmp_path / "file", "a"),
        lambda: store.download_file("a", tmp_path / "again"),
        lambda: store.delete("a"),
    ):
        requests.clear()
        with pytest.raises(UserError, match=f"{scheme}://bucket"):
            use()
        assert len(requests) == len(set(requests)), "none is tried again"


def test_an_upload_outlives_the_server(mortal, large):
    store, killer = Store(f"{mortal.scheme}://bucket/prefix"), Killer(mortal)
    store.upload_file(large, "a", report=killer)
    killer.restart.join()
    assert store.stat("a").sha256 == folders.file_digest(large)
    assert store.stat("a").size == large.stat().st_size


def test_a_download_outlives_the_server_and_fetches_nothing_twice(mortal, tmp_path, large):
    mortal.hold("a", large)
    killer = Killer(mortal)
    Store(f"{mortal.scheme}://bucket").download_file("a", tmp_path / "again", report=killer)
    killer.restart.join()
    assert (tmp_path / "again").read_bytes() == large.read_bytes()
    assert killer.reports == [CHUNK_BYTES, 2 * CHUNK_BYTES, 2 * CHUNK_BYTES + 5]


def test_a_server_that_stays_away_is_given_up_and_may_be_tried_again(mortal, monkeypatch):
    monkeypatch.setattr(objects, "PATIENCE_SECONDS", 1.0)
    store = Store(f"{mortal.scheme}://bucket")
    store.write("a", b"1")
    mortal.kill()
    started = time.monotonic()
    with pytest.raises(InternalError, match="did not answer for 1 s"):
        store.read("a")
    assert time.monotonic() - started < 30
    mortal.start()
    store.write("a", b"2")
    assert store.read("a")[0] == b"2"


@pytest.mark.parametrize(
    "error",
    [
        urllib3.exceptions.ProtocolError("Connection broken: IncompleteRead"),
        urllib3.exceptions.ReadTimeoutError(urllib3.HTTPConnectionPool("store"), "/", "Read timed out."),
        requests.exceptions.ChunkedEncodingError("Connection broken"),
    ],
)
def test_a_connection_that_breaks_in_the_middle_of_an_answer_is_tried_again(error):
    assert isinstance(GoogleBucket.fault(GoogleBucket.__new__(GoogleBucket), error), UnavailableError)
