"""Run the loopback service as a process: ``python -m loopback [--port N] [--device NAME]... [--polls N] [--lag S]``.

The first line on stdout is a JSON object of the environment variables for clients. ``GET /_loopback/log`` returns what
was accepted and counted; ``POST /_loopback/faults`` adds a fault (the fields of ``Fault`` as JSON);
``POST /_loopback/turn`` lets {"seconds": S} pass on the service's clock, by which its list of jobs lags.
"""

import argparse
import json
import threading

from loopback import LoopbackServer, LoopbackState


def main() -> None:
    parser = argparse.ArgumentParser(prog="loopback", description=__doc__)
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--device", action="append", help="such as ibm_torino; may be repeated")
    parser.add_argument("--noisy", action="store_true", help="execute with the device's calibration")
    parser.add_argument("--polls", type=int, default=0, help="polls until a job completes")
    parser.add_argument("--lag", type=float, default=0.0, help="seconds until the list names a job that was accepted")
    arguments = parser.parse_args()
    state = LoopbackState(noisy=arguments.noisy, polls=arguments.polls, list_lag=arguments.lag)
    if arguments.device:
        state.devices = tuple(arguments.device)
    with LoopbackServer(state, arguments.port) as server:
        print(json.dumps(server.environment()), flush=True)
        threading.Event().wait()


if __name__ == "__main__":
    main()
