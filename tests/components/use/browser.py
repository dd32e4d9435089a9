"""A headless Chromium, driven through its debugging protocol."""

import json
import shutil
import subprocess
import time
import urllib.request
from pathlib import Path

import websocket

PROGRAM = shutil.which("chromium") or shutil.which("google-chrome")


class Browser:
    """One page."""

    def __init__(self, folder: Path, address: str) -> None:
        command = [
            PROGRAM, "--headless=new", "--no-sandbox", "--disable-gpu", "--remote-debugging-port=0",
            "--remote-allow-origins=*", f"--user-data-dir={folder}", address,
        ]  # fmt: skip
        self._process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        port_file = folder / "DevToolsActivePort"
        self._wait_for(lambda: port_file.exists() and port_file.read_text().strip())
        port = port_file.read_text().split()[0]

        def pages() -> list[str]:
            with urllib.request.urlopen(f"http://127.0.0.1:{port}/json", timeout=30) as answer:
                found = json.load(answer)
            return [page["webSocketDebuggerUrl"] for page in found if page["url"].startswith(address)]

        self._socket = websocket.create_connection(self._wait_for(pages)[0], timeout=60)
        self._number = 0

    def run(self, script: str) -> object:
        """The value of a JavaScript expression."""
        self._number += 1
        parameters = {"expression": script, "returnByValue": True, "awaitPromise": True}
        self._socket.send(json.dumps({"id": self._number, "method": "Runtime.evaluate", "params": parameters}))
        while True:
            answer = json.loads(self._socket.recv())
            if answer.get("id") == self._number:
                assert "exceptionDetails" not in answer["result"], answer
                return answer["result"]["result"].get("value")

    def wait(self, script: str) -> object:
        """The value of the expression, once it is true."""
        return self._wait_for(lambda: self.run(script))

    def close(self) -> None:
        self._socket.close()
        self._process.terminate()
        self._process.wait(30)

    @staticmethod
    def _wait_for(what, seconds: float = 60.0):
        end = time.monotonic() + seconds
        while True:
            if found := what():
                return found
            assert time.monotonic() < end, "it did not come"
            time.sleep(0.1)
