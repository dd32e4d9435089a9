"""A process that serves S3 on the port it is given: moto's server, with its content in memory.

Moto checks a condition and then writes, so two conditional writes at once could both succeed, which S3 excludes: here
requests are answered one at a time.
"""

import sys
import threading

from moto.moto_server.werkzeug_app import DomainDispatcherApplication, MotoRequestHandler, create_backend_app
from werkzeug.serving import run_simple


def main() -> None:
    application, one_at_a_time = DomainDispatcherApplication(create_backend_app), threading.Lock()

    def serve(environment, start_response):
        with one_at_a_time:
            return application(environment, start_response)

    run_simple("127.0.0.1", int(sys.argv[1]), serve, threaded=True, request_handler=MotoRequestHandler)


if __name__ == "__main__":
    main()
