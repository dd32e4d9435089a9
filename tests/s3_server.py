"""A process that serves S3: `python s3_server.py HOST PORT FOLDER`.

It is moto's server, which keeps what it holds in memory; at the start that is FOLDER's sub-folders, as buckets.  Moto
checks a condition and then writes, so two conditional writes at once could both succeed, which S3 excludes: here
requests are answered one at a time.
"""

import sys
import threading
from pathlib import Path

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import run_simple
from werkzeug.test import Client


def main() -> None:
    host, port, folder = sys.argv[1], int(sys.argv[2]), Path(sys.argv[3])
    application, one_at_a_time = DomainDispatcherApplication(create_backend_app), threading.Lock()

    def serve(environment, start_response):
        with one_at_a_time:
            return application(environment, start_response)

    client = Client(serve)
    for path in sorted(folder.rglob("*")):
        address = f"http://{host}:{port}/{path.relative_to(folder)}"
        if path.is_file():
            client.put(address, data=path.read_bytes())
        elif path.parent == folder:
            client.put(address)
    run_simple(host, port, serve, threaded=True, request_handler=MotoRequestHandler)


if __name__ == "__main__":
    main()
