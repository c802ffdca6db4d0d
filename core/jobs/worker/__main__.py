"""python -m core.jobs.worker: be a worker until stdin ends."""

import logging
import sys

from core.jobs.worker.process import build_renderer, serve

if __name__ == "__main__":
    logging.basicConfig(stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    serve(build_renderer)
